// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestStack puts two patches on one function and takes them away in order:
// the upper one decides while it is there, the lower one shows again after it.
func TestStack(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Load("fork=2"))
		vm.LoadsProgress(t)
		original := vm.ReadFile(t, cmdline)

		one := vm.Apply(t, "testdata/stack_one").Expect(t, check.Complete)
		require.Equal(t, "stack one\n", vm.ReadFile(t, cmdline))
		two := vm.Apply(t, "testdata/stack_two").Expect(t, check.Complete)
		require.Equal(t, "stack two\n", vm.ReadFile(t, cmdline))

		two.Revert(t).Expect(t, check.Complete)
		require.Equal(t, "stack one\n", vm.ReadFile(t, cmdline))
		two.Unload(t)
		one.Revert(t).Expect(t, check.Complete)
		require.Equal(t, original, vm.ReadFile(t, cmdline))
		one.Unload(t)
	})
}

// TestAtomicReplace lets a patch with klp_patch.replace take the place of two
// others: their functions go back to the original, their modules can go.
func TestAtomicReplace(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Load("fork=2"))
		vm.LoadsProgress(t)
		original, version := vm.ReadFile(t, cmdline), vm.ReadFile(t, "/proc/version")

		one := vm.Apply(t, "testdata/stack_one").Expect(t, check.Complete)
		two := vm.Apply(t, "testdata/stack_two").Expect(t, check.Complete)
		replace := vm.Apply(t, "testdata/replace").Expect(t, check.Complete)
		require.Equal(t, original, vm.ReadFile(t, cmdline), "a replaced patch still acts")
		require.Equal(t, "replaced version\n", vm.ReadFile(t, "/proc/version"))
		one.Unload(t)
		two.Unload(t)
		// The core lets go of those that were replaced from a work queue, a moment
		// after the transition; their modules stay in use until then.
		require.Equal(t, []string{"replace"}, vm.Livepatches(t))

		replace.Revert(t).Expect(t, check.Complete)
		require.Equal(t, version, vm.ReadFile(t, "/proc/version"))
		replace.Unload(t)
	})
}
