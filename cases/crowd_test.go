// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestCrowd stalls a transition by 500 tasks, the threads of one process, which
// all sleep in the patched function. None is missed in the count, those that are
// told of are bounded in number, and so is what it costs to watch them. Let go,
// they all switch, and go on with their work in the new code.
func TestCrowd(t *testing.T) {
	const crowd = 500
	for _, cpus := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d vCPUs", cpus), func(t *testing.T) {
			harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
				vm := harness.Boot(t, k, harness.CPUs(cpus), harness.With(holdModule),
					harness.Load(fmt.Sprintf("proc-readers:%suninterruptible=%d", knobs, crowd)))
				vm.Eventually(t, knobs+"parked", func(n string) bool { return n == fmt.Sprint(crowd) })

				p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(6*time.Second))
				p.Expect(t, check.Stalled(check.Kind(check.UserTask), check.AsleepOn("hold_park"), check.Diagnosed("uninterruptible")))
				phase := p.Phase(t)
				last := phase.Samples[len(phase.Samples)-1].Sample
				require.Equal(t, crowd, last.Left)
				require.Zero(t, last.Unknown, "tasks that were not looked at")
				told := len(p.Outcome.Blockers)
				require.Greater(t, told, 100)
				require.LessOrEqual(t, told, crowd)
				require.Less(t, len(p.Outcome.Reason), 4000, "the reason names them all")
				bounded(t, vm, phase)

				vm.WriteFile(t, knobs+"release", "1")
				p = p.Follow(t, patience).Expect(t, check.Complete)
				require.GreaterOrEqual(t, len(p.Phase(t).Tasks), crowd, "tasks that were seen to switch")
				vm.LoadsProgress(t)
			})
		})
	}
}

// bounded holds what watching cost: a look may take part of a period, however
// many tasks there are, so that the watcher's share of a CPU stays below one
// half, that of a fifth of its looks at most is over it.
func bounded(t *testing.T, vm *harness.VM, phase *observe.Phase) {
	t.Helper()
	var cpu, wall int64
	for _, e := range vm.Timeline().Kind(observe.KindCost) {
		if e.T > phase.Start {
			cpu += e.Cost.CPUNS
			wall += e.Cost.WallNS
		}
	}
	require.Positive(t, wall)
	require.Less(t, float64(cpu)/float64(wall), 0.5, "the watcher's share of a CPU")
}
