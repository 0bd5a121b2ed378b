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
	"github.com/switchyard-project/switchyard/kernels"
)

// slowPoller waits for the end of a transition as tools do (kpatch's
// wait_for_patch_transition): it looks every so many seconds, so many times, and then
// says that the patch has stalled. It leaves its looks in /tmp/looks, each with
// the time since boot.
const slowPoller = `
i=0
while [ $i -lt %d ]; do
	read state < /sys/kernel/livepatch/%s/transition
	if [ "$state" = 0 ]; then echo complete; exit; fi
	i=$((i+1))
	echo $i > /tmp/looks
	/bbin/sleep %d
done
read now rest < /proc/uptime
echo stalled $now
`

// TestSlowPoller has a poller that looks once a second beside ours (class 17 of
// the bug list). The task that holds the transition up is let go after the
// poller's last look: the transition ends within the second that it sleeps
// away, and it says "stalled" of a patch that is in force. Ours says complete,
// and since when.
func TestSlowPoller(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		// With more than one vCPU the end of a transition can take long under
		// an emulator (kernels.SlowDynamicPreemptTCG).
		vm := harness.Boot(t, k, harness.CPUs(1), harness.Commands(), harness.With(holdModule))
		m := vm.Build(t, "testdata/hold")
		const looks, tries = 2, 6
		for try := range tries {
			// Once a second; where a kernel takes longer to end a transition, of
			// those that look more seldom.
			period := 1 + try/2
			vm.WriteFile(t, "/tmp/looks", "0\n")
			held := vm.Start(t, "/bbin/cat", knobs+"uninterruptible")
			vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })
			p := vm.ApplyModule(t, m, harness.StallAfter(time.Millisecond)).Expect(t, check.Stalled())
			poller := vm.Start(t, "/bbin/gosh", "-c", fmt.Sprintf(slowPoller, looks, m.Name, period))
			vm.Eventually(t, "/tmp/looks", func(n string) bool { return n == strconv.Itoa(looks) })
			vm.WriteFile(t, knobs+"release", "1")
			require.Equal(t, "held\n", held.Wait(t))

			p = p.Follow(t, patience).Expect(t, check.Complete)
			verdict := strings.Fields(poller.Wait(t))
			if falsely(t, verdict, p) {
				// With less patience than the poller had: what ends in time
				// is complete, however seldom somebody looks.
				return
			}
			p.Revert(t).Expect(t, check.Complete)
			p.Unload(t)
		}
		t.Fatalf("in %d tries the poller was never wrong", tries)
	})
}

// falsely says whether the poller said that the transition had stalled after it
// had ended.
func falsely(t *testing.T, verdict []string, p *harness.Patch) bool {
	t.Helper()
	if len(verdict) == 1 {
		require.Equal(t, "complete", verdict[0])
		return false
	}
	require.Len(t, verdict, 2)
	require.Equal(t, "stalled", verdict[0])
	seconds, err := strconv.ParseFloat(verdict[1], 64)
	require.NoError(t, err)
	ended := time.Duration(p.Phase(t).End)
	t.Logf("the poller said %q at %v, the transition had ended at %v", verdict[0], seconds, ended)
	return ended < time.Duration(seconds*float64(time.Second))
}
