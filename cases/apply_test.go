// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

const cmdline = "/proc/cmdline"

// TestApplyUnderEveryLoad applies and reverts a patch while each load runs,
// one guest for all: a load that a patch of something else disturbs would
// show it by wrong results, which fail the test.
func TestApplyUnderEveryLoad(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Load(harness.LoadNames()...))
		original := vm.ReadFile(t, cmdline)
		vm.LoadsProgress(t)

		p := vm.Apply(t, "testdata/cmdline")
		p.Expect(t, check.Complete)
		require.Contains(t, vm.ReadFile(t, cmdline), "has been live patched")
		vm.LoadsProgress(t)

		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, original, vm.ReadFile(t, cmdline))
		p.Unload(t)
		vm.LoadsProgress(t)
	})
}

// TestTimeline looks at what a plain transition leaves on record: the curve
// falls to nobody left, and the core needed at least one round.
func TestTimeline(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Load("pipe=8"))
		vm.LoadsProgress(t)
		p := vm.Apply(t, "testdata/cmdline").Expect(t, check.Complete)
		phase := p.Phase(t)
		require.True(t, phase.Done())
		require.Zero(t, phase.Left())
		require.Positive(t, phase.Took())
		if phase.Rounds != nil {
			require.GreaterOrEqual(t, *phase.Rounds, 1)
		}
		p.Revert(t).Expect(t, check.Complete)
	})
}
