// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

const (
	targetModule = "testdata/target/with/switchyard_target.c"
	targetFile   = "/proc/switchyard_target"
)

// TestTargetComesLater applies a patch before the module that it patches is
// there: the module is patched as it comes, also the second time (class 28 of
// the bug list).
func TestTargetComesLater(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		p := vm.Apply(t, "testdata/target", harness.WithoutTarget()).Expect(t, check.Complete)

		for range 3 {
			target := vm.Insert(t, targetModule)
			require.Equal(t, "target: patched\n", vm.ReadFile(t, targetFile), "the module came unpatched")
			vm.Remove(t, target.Name)
		}

		target := vm.Insert(t, targetModule)
		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, "target: original\n", vm.ReadFile(t, targetFile))
		p.Unload(t)
		vm.Remove(t, target.Name)
	})
}

// TestTargetWith brings the target along in the patch folder's with/.
func TestTargetWith(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		p := vm.Apply(t, "testdata/target").Expect(t, check.Complete)
		require.Equal(t, "target: patched\n", vm.ReadFile(t, targetFile))
		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, "target: original\n", vm.ReadFile(t, targetFile))
		p.Unload(t)
	})
}

// TestModulesBeginWithAGap: no function of a module that cases patch is its
// first, whose place the kernel may lose.
func TestModulesBeginWithAGap(t *testing.T) {
	all, err := filepath.Glob("testdata/*/with/*.c")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, path := range all {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Regexp(t, `(?m)^asm\("\.pushsection \.text; \.skip 16, 0xcc; \.popsection"\);$`, string(text), path)
	}
}
