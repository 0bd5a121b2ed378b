// SPDX-License-Identifier: Apache-2.0

package harness_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// TestMemory compares compiled source with a running kernel: the symbols that
// the image tells are those of /proc/kallsyms, in its order, and the code in
// memory is what the source compiles to but for what a kernel rewrites by
// itself. A live patch is such a rewriting, which must be seen through; a byte
// that somebody else changed must not.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles kernel source and boots guests")
	}
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		sources := []string{"fs/proc/cmdline.c", "fs/namei.c", "kernel/sys.c", "net/core/dev.c"}
		vm := harness.Boot(t, k)
		fat := vm.InsertOwn(t, "fat") == nil // where it is a module
		if fat {
			sources = append(sources, "fs/fat/dir.c")
		}
		im, reports := compiled(t, k, sources...)
		slide := sameSymbols(t, vm, im)
		vm.Apply(t, "../cases/testdata/cmdline")
		memory := runpre.Memory{Slide: slide, Read: func(address uint64, n int) ([]byte, error) { return vm.Memory(t, address, n), nil }}
		memory.Section = func(module, section string) (uint64, bool) { return vm.Section(t.Context(), module, section) }
		looked, ofModules := 0, 0
		for _, report := range reports {
			wrong, err := runpre.MatchMemory(report, memory)
			require.NoError(t, err)
			for _, d := range wrong {
				t.Errorf("%v", d)
			}
			if report.Object == runpre.VMLinux {
				looked += len(report.Expect())
				continue
			}
			ofModules += len(report.Expect())
			require.NotEmpty(t, report.Expect(), report.Object)
			if e := report.Expect()[0]; len(e.Code) > 0 {
				_, there := memory.Section(e.Object, e.Section)
				require.True(t, there, "%s of %s", e.Section, e.Object)
			}
		}
		if fat {
			require.Greater(t, ofModules, 10)
		}
		require.Greater(t, looked, 400)
		t.Logf("%d functions in memory, and %d of modules", looked, ofModules)

		expected := reports[0].Expect("cmdline_proc_show")[0]
		at := len(expected.Code) - 1
		for slices.ContainsFunc(expected.Masked, func(r runpre.Range) bool { return at >= r.From && at < r.To }) || slices.ContainsFunc(expected.Fields, func(f runpre.Field) bool { return at >= f.At && at < f.At+f.Width }) {
			at--
		}
		memory.Read = func(address uint64, n int) ([]byte, error) {
			data := vm.Memory(t, address, n)
			data[at] ^= 0x10
			return data, nil
		}
		difference, err := expected.Check(memory)
		require.NoError(t, err)
		require.NotNil(t, difference)
		require.ErrorContains(t, difference, fmt.Sprintf("%s+%#x", expected.Function, at))
	})
}

// compiled compiles files of a kernel's source and compares them with its
// image.
func compiled(t *testing.T, k *kernels.Kit, sources ...string) (*runpre.Image, []*runpre.Report) {
	t.Helper()
	st, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	tr, err := tree.Open(t.Context(), tree.Deps{Store: st, Archive: archive, Root: func(ctx context.Context) (*toolroot.Root, error) { return toolroot.Open(ctx, st, archive) }}, k)
	if kernels.IsLacking(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	im, err := runpre.OpenImage(k)
	require.NoError(t, err)
	var all []*runpre.Report
	for _, source := range sources {
		units, err := tr.Units(t.Context(), source)
		require.NoError(t, err)
		made, err := tr.Compile(t.Context(), tree.Job{Units: units})
		require.NoError(t, err)
		for _, c := range made {
			pre, err := object.Open(c.Path)
			require.NoError(t, err)
			report, err := runpre.Match(pre, im, c.Object)
			require.NoError(t, err)
			all = append(all, report)
		}
	}
	return im, all
}

// sameSymbols holds that the guest's table of symbols is the image's, name by
// name, and gives by how much all of it was moved.
func sameSymbols(t *testing.T, vm *harness.VM, im *runpre.Image) (slide uint64) {
	t.Helper()
	want, err := im.Symbols(runpre.VMLinux)
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, vm.Client.Get(t.Context(), "/proc/kallsyms", &text, 64<<20))
	lines := strings.Split(text.String(), "\n")
	require.Greater(t, len(lines), len(want))
	for i, s := range want {
		fields := strings.Fields(lines[i])
		require.Equal(t, s.Name, fields[2], "symbol %d", i)
		address, err := strconv.ParseUint(fields[0], 16, 64)
		require.NoError(t, err)
		if s.Name == "_text" {
			slide = address - s.Address
		}
	}
	return slide
}
