// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestWitnessesAgree: of a task in the way /proc and the livepatch core's own
// messages tell the same, and the messages are off again afterwards.
func TestWitnessesAgree(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands())
		held := park(t, vm, "uninterruptible")

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(5*time.Second))
		traits := []check.Trait{check.Named("cat"), check.AsleepOn("hold_park"), check.ToldBy(observe.ByProc), check.Diagnosed("uninterruptible")}
		if k.Can(kernels.DynamicDebug) {
			traits = append(traits, check.ToldBy(observe.ByCore))
		}
		p.Expect(t, check.Stalled(traits...))
		for _, b := range p.Outcome.Blockers {
			if b.Comm == "cat" {
				require.Empty(t, b.Differ)
			}
		}
		require.NotContains(t, vm.ReadFile(t, "/proc/dynamic_debug/control"), "klp_try_switch_task =p", "the core's messages stayed on")

		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		p.Follow(t, 40*time.Second).Expect(t, check.Complete)
	})
}
