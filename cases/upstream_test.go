// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// diffsVariable names a folder of upstream fixes from stable releases 6.12.34
// to 6.12.75, which are not ours to keep here.
const diffsVariable = "SWITCHYARD_DIFFS"

// fixes are what is in that folder, each with the right answer.
var fixes = []struct {
	name   string
	module string   // of the kernel's own, which it changes
	codes  []string // of a refusal, one of which it must be; nil: a live patch
}{
	{"fs-namei-noxdev", "", nil},
	{"posix-cpu-timers-exit", "", nil},
	{"sys-prlimit64", "", nil},
	{"mod-sch-teql-root", "sch_teql", nil},
	{"mod-vfat-rmdir", "vfat", nil},
	// The compiler had read the pointer only once before, too; 6.1 has the
	// change among other lines than the diff's.
	{"inline-sk-is-readable", "", []string{"no-effect", "hunk-failed"}},
	{"header-comment-only", "", []string{"no-effect"}},
	{"struct-connmark", "", []string{"layout"}},
	{"init-ima-kexec", "", []string{"init-exit", "build-failed"}},
	{"asm-blake2s", "", []string{"assembly"}},
	{"kconfig-only", "", []string{"not-code"}},
}

// TestUpstreamFixes: straight where the kernel lacks a fix; where it has it, the
// straight diff is told to be applied, and the reversed one gets the answer.
func TestUpstreamFixes(t *testing.T) {
	dir := os.Getenv(diffsVariable)
	if dir == "" {
		t.Skipf("%s names no folder with upstream's fixes", diffsVariable)
	}
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		withSource(t, k)
		for _, fix := range fixes {
			t.Run(fix.name, func(t *testing.T) {
				path := filepath.Join(dir, fix.name+".patch")
				var opts []harness.ApplyOption
				refusals := harness.Refused(t, k, path)
				if len(refusals) > 0 && refusals[0].Code == "already-applied" {
					opts = append(opts, harness.Reversed())
					refusals = harness.Refused(t, k, path, opts...)
				}
				if len(refusals) == 0 {
					require.Empty(t, fix.codes, "a module was made of it")
					applyFix(t, k, path, fix.module, opts)
					return
				}
				if refusals[0].Code == "not-built" && !hasAll(k) {
					require.ErrorContains(t, refusals[0], "CONFIG_")
					return
				}
				require.Contains(t, fix.codes, string(refusals[0].Code), "%v", refusals[0])
			})
		}
	})
}

// hasAll says that k was configured for these fixes, so that each gets its own
// answer (testdata/diffs/README.md has the command).
func hasAll(k *kernels.Kit) bool { return strings.HasSuffix(k.Release, "+fixes") }

func applyFix(t *testing.T, k *kernels.Kit, path, module string, opts []harness.ApplyOption) {
	vm := harness.Boot(t, k, harness.Load("proc-readers", "fork"))
	if module != "" {
		require.NoError(t, vm.InsertOwn(t, module))
	}
	p := vm.Apply(t, path, opts...).Expect(t, check.Complete)
	vm.LoadsProgress(t)
	p.Revert(t).Expect(t, check.Complete)
	p.Unload(t)
}
