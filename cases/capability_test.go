// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"bytes"
	"errors"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// maxKallsyms bounds /proc/kallsyms, in bytes: it has 13 MB on Debian's 7.3.
const maxKallsyms = 64 << 20

// TestCapabilities holds every row of the capability table to what the kernel
// shows: its image, its symbols, and a guest in which a patch of the kernel
// itself is applied. Cases trust the table; this is why they may.
func TestCapabilities(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		e := evidence(t, vm)
		if k.Can(kernels.Livepatch) {
			p := vm.Apply(t, "testdata/cmdline")
			if k.Can(kernels.ReliableStacks) {
				p.Expect(t, check.Complete)
			}
			e.PatchFiles = files(t, vm, "/sys/kernel/livepatch/cmdline", "")
			e.Log = vm.KernelLogFenced(t)
		}

		found, err := e.Examine()
		require.NoError(t, err)
		for _, f := range found {
			if f.Differs() {
				t.Errorf("%s", f)
			} else {
				t.Logf("%s", f)
			}
		}
	})
}

// evidence is what a guest shows without a patch.
func evidence(t *testing.T, vm *harness.VM) *kernels.Evidence {
	t.Helper()
	image, err := kernels.OpenImage(vm.Kit.VMLinux)
	require.NoError(t, err)
	var kallsyms bytes.Buffer
	require.NoError(t, vm.Client.Get(t.Context(), "/proc/kallsyms", &kallsyms, maxKallsyms))
	symbols, err := kernels.ReadSymbols(&kallsyms)
	require.NoError(t, err)
	return &kernels.Evidence{
		Kit: vm.Kit, Image: image, Symbols: symbols,
		Loaded: slices.Sorted(maps.Keys(vm.Modules(t))),
		Read: func(path string) (string, error) {
			text, err := vm.Client.ReadFile(t.Context(), path)
			return string(text), err
		},
		List: func(path string) (names []string, err error) {
			entries, err := vm.Client.ReadDir(t.Context(), path)
			for _, e := range entries {
				names = append(names, e.Name)
			}
			return names, err
		},
	}
}

// files are the files below a folder of the guest, as paths below it.
func files(t *testing.T, vm *harness.VM, root, below string) (all []string) {
	t.Helper()
	entries, err := vm.Client.ReadDir(t.Context(), path.Join(root, below))
	require.NoError(t, errors.Join(err, vm.Explain(err)))
	for _, e := range entries {
		if e.Dir {
			all = append(all, files(t, vm, root, path.Join(below, e.Name))...)
		} else {
			all = append(all, path.Join(below, e.Name))
		}
	}
	return all
}
