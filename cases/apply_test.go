// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"
	"time"

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
		require.NotNil(t, p.Phase(t).Rounds, "rounds cannot be counted")
		require.GreaterOrEqual(t, *p.Phase(t).Rounds, 1, "it ended without a round")
		require.Contains(t, vm.ReadFile(t, cmdline), "has been live patched")
		vm.LoadsProgress(t)

		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, original, vm.ReadFile(t, cmdline))
		p.Unload(t)
		vm.LoadsProgress(t)
	})
}

// TestTimeline looks at what a transition leaves on record. A task holds it up
// for a while, so that there is a curve to see: it never rises while nobody is
// born, it shows that one task left, and it ends with it.
func TestTimeline(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands())
		held := park(t, vm, "uninterruptible")
		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(3*time.Second))
		p.Expect(t, check.Stalled())
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that is held")
		vm.WriteFile(t, knobs+"release", "1")
		held.Wait(t)
		phase := p.Follow(t, 40*time.Second).Expect(t, check.Complete).Phase(t)

		require.Greater(t, phase.Took(), 3*time.Second)
		require.NotNil(t, phase.Rounds, "rounds cannot be counted")
		require.GreaterOrEqual(t, *phase.Rounds, 3)
		require.Greater(t, len(phase.Samples), 100, "samples in 3 s, each at most 10 ms after the other")
		alone := 0
		for _, s := range phase.Samples {
			require.LessOrEqual(t, s.Sample.Left, s.Sample.Total)
			if s.Sample.Left == 1 && s.Sample.Unknown == 0 {
				alone++
			}
		}
		require.Greater(t, alone, 50, "samples that show the one task")
	})
}
