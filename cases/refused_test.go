// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestRefused: what the kernel does not take is told in its own words, and
// the guest is as it was.
func TestRefused(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		modules := vm.Modules(t)

		vm.Apply(t, "testdata/unknown_function").
			Expect(t, check.Refused(`symbol 'switchyard_no_such_function' not found`))
		vm.Apply(t, "testdata/unmarked").
			Expect(t, check.Refused(`not marked as a livepatch module|module 'unmarked' .*livepatch`))
		vm.ApplyModule(t, vm.Build(t, otherMagic(t, vm))).
			Expect(t, check.Refused(`version magic '.*' should be '.*'`))

		require.Equal(t, modules, vm.Modules(t))
		require.Empty(t, vm.Livepatches(t))
	})
}

// otherMagic writes a module whose vermagic names another kind of kernel. The
// flags are changed and not the release: with CONFIG_MODVERSIONS the kernel
// compares checksums in the release's place.
func otherMagic(t *testing.T, vm *harness.VM) string {
	t.Helper()
	m := vm.Build(t, "testdata/cmdline")
	ko, err := os.ReadFile(m.Path)
	require.NoError(t, err)
	magic := []byte("vermagic=" + m.Manifest.Vermagic)
	require.True(t, bytes.Contains(ko, magic))
	other := bytes.Replace(magic, []byte(" SMP "), []byte(" UMP "), 1)
	require.NotEqual(t, magic, other)
	path := filepath.Join(t.TempDir(), "cmdline.ko")
	require.NoError(t, os.WriteFile(path, bytes.Replace(ko, magic, other, 1), 0o644))
	return path
}
