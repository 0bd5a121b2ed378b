// SPDX-License-Identifier: Apache-2.0

package klp_test

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels"
)

// twin is the target's name and its file.
const twin, twinFile = "switchyard_twin", "/proc/switchyard_twin"

// position is the sympos of the symbol that stands in a source file of that
// name, in the order of the module's symbol table.
func position(t testing.TB, module, file, name string) uint64 {
	t.Helper()
	o, err := object.Open(module)
	require.NoError(t, err)
	var in string
	var n uint64
	for _, s := range o.Symbols {
		switch {
		case s.Type == elf.STT_FILE:
			in = s.Name
		case s.Name == name && s.Section != nil:
			n++
			if in == file {
				return n
			}
		}
	}
	t.Fatalf("%s has no %s of %s", module, name, file)
	return 0
}

// second is a part that replaces the second function of the target's two.
func second(t testing.TB, k *kernels.Kit, path, target string) klp.Part {
	t.Helper()
	code := compile(t, k, path, "testdata/twin/twin.h")
	symbols := unexported(t, k, code, twin)
	for s, known := range symbols {
		known.Exported = s.Name == "twin_exported"
		if s.Name == "calls" {
			known.Sympos = position(t, target, "second.c", s.Name)
		}
		symbols[s] = known
	}
	return klp.Part{Object: twin, Code: code, Symbols: symbols,
		Functions: []klp.Function{{Old: "which", New: "which", Sympos: position(t, target, "second.c", "which")}}}
}

// TestTarget patches one of two functions of one name, in a module that comes
// before the patch and in one that comes after it, goes and comes again.
func TestTarget(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.AllowReport("^WARNING in which "))
		target := vm.Build(t, "testdata/twin")
		part := second(t, k, "testdata/second.c", target.Path)
		path, err := klp.Build(t.Context(), deps(t), k, klp.Module{Name: "klp_twin", Parts: []klp.Part{part}})
		require.NoError(t, err)

		vm.InsertModule(t, target)
		require.Equal(t, "first 1 second 1 \n", vm.ReadFile(t, twinFile))
		p := vm.Apply(t, path).Expect(t, check.Complete)
		require.Equal(t, "first 2 new 11 1 helper \n", vm.ReadFile(t, twinFile))
		require.Equal(t, "first 3 new 21 2 helper exported \n", vm.ReadFile(t, twinFile))

		// Who sleeps in the new function is seen through: another patch need
		// not wait for it.
		vm.WriteFile(t, "/sys/module/switchyard_twin/parameters/twin_hold", "1")
		sleeper := vm.Start(t, "/bbin/cat", twinFile)
		vm.Eventually(t, "/sys/module/switchyard_twin/parameters/twin_hold", func(held string) bool { return held == "2" })
		other := vm.Apply(t, "../../../cases/testdata/cmdline").Expect(t, check.Complete)
		other.Revert(t).Expect(t, check.Complete)
		other.Unload(t)
		vm.WriteFile(t, "/sys/module/switchyard_twin/parameters/twin_hold", "0")
		require.Equal(t, "first 4 new 31 3 helper exported \n", sleeper.Wait(t))

		vm.WriteFile(t, "/sys/module/switchyard_twin/parameters/twin_warn", "1")
		vm.ReadFile(t, twinFile)
		report := vm.Report(t, "WARNING")
		require.Contains(t, strings.Join(report.Text, "\n"), "second.c:"+line(t, "testdata/second.c", "WARN("))

		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, "first 6 second 42 \n", vm.ReadFile(t, twinFile))
		p.Unload(t)
		vm.Remove(t, twin)

		p = vm.Apply(t, path).Expect(t, check.Complete)
		rounds := 2
		if !k.Can(kernels.TargetReload) {
			rounds = 1
		}
		for range rounds {
			vm.InsertModule(t, target)
			require.Contains(t, vm.ReadFile(t, twinFile), "first 1 new 10 ", "the module came unpatched")
			vm.Remove(t, twin)
		}
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// line is the number of the line that holds text.
func line(t testing.TB, path, text string) string {
	t.Helper()
	source, err := os.ReadFile(path)
	require.NoError(t, err)
	before, _, ok := strings.Cut(string(source), text)
	require.True(t, ok)
	return fmt.Sprint(1 + strings.Count(before, "\n"))
}

// TestCallbacks has one module for the image and for a module, and callbacks
// that are for all objects or for one.
func TestCallbacks(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		target := vm.Build(t, "testdata/twin")
		image := compile(t, k, "testdata/cmdline.c")
		path, err := klp.Build(t.Context(), deps(t), k, klp.Module{Name: "klp_both", Replace: true, Callbacks: []string{"testdata/callbacks.c"}, Parts: []klp.Part{
			second(t, k, "testdata/second.c", target.Path),
			{Object: klp.VMLinux, Code: image, Symbols: unexported(t, k, image, klp.VMLinux),
				Functions: []klp.Function{{Old: "cmdline_proc_show", New: "cmdline_proc_show"}}},
		}})
		require.NoError(t, err)
		counts := func(twin, image, shadows string) {
			t.Helper()
			require.Equal(t, twin+"\n", vm.ReadFile(t, "/sys/module/klp_both/parameters/twin"))
			require.Equal(t, image+"\n", vm.ReadFile(t, "/sys/module/klp_both/parameters/image"))
			require.Equal(t, shadows+"\n", vm.ReadFile(t, "/sys/module/klp_both/parameters/shadows"))
		}
		p := vm.Apply(t, path).Expect(t, check.Complete)
		require.True(t, p.Module.Manifest.Replace)
		require.Equal(t, []string{twin, "vmlinux"}, p.Module.Manifest.Objects())
		counts("0,0,0,0", "1,1,0,0", "1")
		vm.InsertModule(t, target)
		counts("1,1,0,0", "1,1,0,0", "1")
		require.Contains(t, vm.ReadFile(t, twinFile), " new ")
		require.Contains(t, vm.ReadFile(t, "/proc/cmdline"), " new 1 ")
		p.Revert(t).Expect(t, check.Complete)
		counts("1,1,1,1", "1,1,1,1", "0")
		p.Unload(t)
		vm.Remove(t, twin)
	})
}

// TestImage patches a function of the kernel's image by one that uses what
// the kernel keeps to itself, and that stands in each of the tables that the
// kernel goes through when it loads code.
func TestImage(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		code := compile(t, k, "testdata/cmdline.c")
		path, err := klp.Build(t.Context(), deps(t), k, klp.Module{Name: "klp_image", Parts: []klp.Part{{
			Object: klp.VMLinux, Code: code,
			Functions: []klp.Function{{Old: "cmdline_proc_show", New: "cmdline_proc_show"}},
			Symbols:   unexported(t, k, code, klp.VMLinux),
		}}})
		require.NoError(t, err)
		t.Log(path)

		vm := harness.Boot(t, k)
		old := strings.TrimSpace(vm.ReadFile(t, "/proc/cmdline"))
		p := vm.Apply(t, path).Expect(t, check.Complete)
		require.Equal(t, old+" new 1 key 1 fault 2 beyond 1 constant 1\n", vm.ReadFile(t, "/proc/cmdline"))
		// The tracepoint of the kernel's, called by the patch.
		const events = "/sys/kernel/tracing/"
		vm.WriteFile(t, events+"events/task/task_rename/enable", "1")
		vm.ReadFile(t, "/proc/cmdline")
		vm.WriteFile(t, events+"events/task/task_rename/enable", "0")
		require.Contains(t, vm.ReadFile(t, events+"trace"), "newcomm=switchyard")

		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, old+"\n", vm.ReadFile(t, "/proc/cmdline"))
		p.Unload(t)
	})
}

// TestRefused are changes to a module that the kernel would look at before
// the module need be there.
func TestRefused(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		for path, code := range map[string]refusal.Code{"testdata/key.c": refusal.StaticKey, "testdata/call.c": refusal.StaticCall} {
			object := compile(t, k, path, "testdata/twin/twin.h")
			_, err := klp.Build(t.Context(), deps(t), k, klp.Module{Name: "klp_refused", Parts: []klp.Part{{
				Object: twin, Code: object, Symbols: unexported(t, k, object, twin),
				Functions: []klp.Function{{Old: "which", New: "which"}},
			}}})
			var refused *refusal.Refusal
			require.ErrorAs(t, err, &refused, path)
			require.Equal(t, code, refused.Code, "%v", err)
			require.Equal(t, "which", refused.Function, "%v", err)
			require.Contains(t, err.Error(), twin)
		}
	})
}
