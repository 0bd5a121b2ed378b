// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// turnRound turns a transition round so many times, or as often as its patch is
// there to be, and says how often: a shell in the guest is quicker than a
// round, the host need not be.
const turnRound = `
i=0
while [ $i -lt %d ]; do
	echo 0 > %[2]s || break
	i=$((i+1))
	echo 1 > %[2]s || break
	i=$((i+1))
done 2> /dev/null
echo $i
`

// TestReversalUnderForkStorm turns a transition that cannot end round again and
// again while tasks are born all the time (classes 13 and 21 of the bug list): a
// child gets its parent's patch_state, which a fork that the turn overtakes
// copies too early. Kernels up to 6.0 warned of that in
// klp_complete_transition(); the fix (commit 747f7a290117, livepatch: fix race
// between fork and KLP transition) is in the stable releases of 5.10 and 5.15 as
// well, so that none of those that are tested may complain.
func TestReversalUnderForkStorm(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		// A kernel thread holds the transition up for good: no signal frees it,
		// and nobody takes it for hung, however long this lasts.
		vm := harness.Boot(t, k, harness.Commands(), harness.With(loopModule), harness.Load("fork=4"))
		vm.LoadsProgress(t)
		m := vm.Build(t, "testdata/loop")
		enabled := "/sys/kernel/livepatch/" + m.Name + "/enabled"

		const wanted = 40
		for turns := 0; turns < wanted; {
			p := vm.ApplyModule(t, m, harness.StallAfter(100*time.Millisecond)).Expect(t, check.Stalled())
			// A way back that a round finds done takes the patch away.
			n, err := strconv.Atoi(strings.TrimSpace(vm.Run(t, "/bbin/gosh", "-c", fmt.Sprintf(turnRound, wanted-turns, enabled))))
			require.NoError(t, err)
			require.Positive(t, n, "it could not be turned round at all")
			turns += n
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
		for _, phase := range vm.Timeline().Phases() {
			require.True(t, phase.Done(), "a transition has not ended")
		}
		// What can end still does.
		p := vm.Apply(t, "testdata/loop_step", harness.StallAfter(patience)).Expect(t, check.Complete)
		p.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
		p.Unload(t)
	})
}
