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

// TestIdleGuest counts the rounds of transitions of a guest that does nothing
// (class 10 of the bug list). With one vCPU the core, which runs there, finds no
// idle task running: the first round is enough, always. With a second one that
// idles it meets that one's idle task and tries again a second later, when the
// CPU has been woken, by the core itself or by whatever came along.
//
// Since 6.4 the core changes code between the moment when it marks the tasks and
// its first round, to switch tasks in cond_resched() or __schedule(); as measured,
// that gives the idle CPU the time or the interrupts to switch, nearly always.
func TestIdleGuest(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.CPUs(1))
		for _, p := range thereAndBack(t, vm) {
			require.Len(t, p.Phase(t).Tries, 1)
		}

		// Isolated, so that the agent, which watches the transition, leaves it
		// alone; now and then some work of the kernel's own runs there.
		vm = harness.Boot(t, k, harness.CPUs(2), harness.KernelArgs("isolcpus=1"))
		pokes := k.Can(kernels.CondReschedSwitching) || k.Can(kernels.ScheduleSwitching)
		const tries = 3
		for range tries {
			least := 0
			for _, p := range thereAndBack(t, vm) {
				rounds := p.Phase(t).Tries
				if n := len(rounds); least == 0 || n < least {
					least = n
				}
				if len(rounds) == 1 {
					continue
				}
				p.Expect(t, check.Complete.Diagnosed("first-round"))
				require.Greater(t, time.Duration(rounds[1]-rounds[0]), 500*time.Millisecond, "between two rounds")
				if !pokes && (len(rounds) == 2 || !k.Can(kernels.IdleWakeUp)) {
					return
				}
			}
			if pokes {
				require.LessOrEqual(t, least, 2, "the core wakes idle CPUs, so the second round is enough")
				return
			}
		}
		t.Fatalf("of %d transitions none needed a second round, and no more", 2*tries)
	})
}

// thereAndBack applies a patch of the kernel and reverts it.
func thereAndBack(t *testing.T, vm *harness.VM) []*harness.Patch {
	t.Helper()
	applied := vm.Apply(t, "testdata/cmdline", harness.StallAfter(patience)).Expect(t, check.Complete)
	reverted := applied.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
	applied.Unload(t)
	return []*harness.Patch{applied, reverted}
}
