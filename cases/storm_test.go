// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestReversalUnderForkStorm turns a transition that cannot end round again and
// again while tasks are born all the time (classes 13 and 21 of the bug list): a
// child gets its parent's patch_state, which a fork that the turn overtakes
// copies too early. Kernels up to 6.0 warned of that in
// klp_complete_transition(); the fix (commit 747f7a290117, livepatch: fix race
// between fork and KLP transition) is in the stable releases of 5.10 and 5.15 as
// well, so that none of those that are tested may complain.
func TestReversalUnderForkStorm(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.With(holdModule), harness.Load("fork=4"))
		held := vm.Start(t, "/bbin/cat", knobs+"uninterruptible")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })
		vm.LoadsProgress(t)
		m := vm.Build(t, "testdata/hold")
		enabled := "/sys/kernel/livepatch/" + m.Name + "/enabled"

		const wanted = 40
		for turns := 0; turns < wanted; {
			p := vm.ApplyModule(t, m, harness.StallAfter(100*time.Millisecond))
			p.Expect(t, check.Stalled())
			// Each way back that a round finds done takes the patch away; those
			// turned round again before that do not.
			for to := "0"; turns < wanted; turns++ {
				if err := vm.Client.WriteFile(t.Context(), enabled, []byte(to)); err != nil {
					require.True(t, gone(err), "%v", vm.Explain(err))
					break
				}
				to = map[string]string{"0": "1", "1": "0"}[to]
				if turns%10 == 0 {
					vm.LoadsProgress(t) // more forks at this direction
				}
			}
			// Held as it is, only the way back can end by itself.
			for len(vm.Livepatches(t)) > 0 {
				if text, err := vm.Client.ReadFile(t.Context(), enabled); err == nil && strings.TrimSpace(string(text)) == "1" {
					p.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
				}
			}
			p.Unload(t)
		}
		vm.LoadsProgress(t)

		reversals := 0
		for _, e := range vm.Timeline().Kind(observe.KindTransition) {
			if e.Transition.Edge == observe.EdgeReverse {
				reversals++
			}
		}
		t.Logf("%d reversals were seen", reversals)
		require.Positive(t, reversals)
		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		for _, phase := range vm.Timeline().Phases() {
			require.True(t, phase.Done(), "a transition has not ended")
		}
		// The patch still works.
		p := vm.ApplyModule(t, m, harness.StallAfter(patience)).Expect(t, check.Complete)
		p.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// gone says whether a patch's file is there no more.
func gone(err error) bool {
	return strings.Contains(err.Error(), "no such file or directory") || strings.Contains(err.Error(), "no such device") || strings.Contains(err.Error(), "invalid argument")
}
