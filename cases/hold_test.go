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

const (
	holdModule = "testdata/hold/with/switchyard_hold.c"
	knobs      = "/sys/kernel/debug/switchyard_hold/"
)

// patience is the guest time for a transition that must end, and in whose way
// nobody is: under an emulator on a busy machine the core's own clean-up takes
// minutes where kernels.SlowDynamicPreemptTCG.
const patience = 5 * time.Minute

// park starts a task called cat that sleeps in hold_park() of the HOLD module.
func park(t *testing.T, vm *harness.VM, knob string) *harness.Task {
	t.Helper()
	vm.Insert(t, holdModule)
	task := vm.Start(t, "/bbin/cat", knobs+knob)
	vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })
	return task
}

// TestStallNamesTheTask holds a task inside the patched function (class 3 of
// the bug list): the transition stalls, the task is named with the function it
// sleeps on, and once it is let go the transition ends.
func TestStallNamesTheTask(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands())
		held := park(t, vm, "uninterruptible")

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(5*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.Kind(check.UserTask), check.AsleepOn("hold_park"), check.Diagnosed("uninterruptible")))
		require.GreaterOrEqual(t, p.Phase(t).Left(), 1)

		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		p = p.Follow(t, 40*time.Second).Expect(t, check.Complete)
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// TestReversal turns a transition round while a task holds it up: the way
// back needs nobody to move, so it ends although the task still sleeps.
func TestReversal(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands())
		held := park(t, vm, "uninterruptible")

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(3*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat")))
		p = p.Revert(t).Expect(t, check.Complete)
		require.True(t, p.Phase(t).Reversed, "the transition was not turned round but done again")
		p.Unload(t)

		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
	})
}

// TestSignalFreesSleeper parks a task that signals can wake (class 4 of the
// bug list): nothing moves until the core signals those that remain at its
// 15th round, of 0.75 to 1.75 s each, and then the transition ends.
func TestSignalFreesSleeper(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands())
		park(t, vm, "interruptible")

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(4*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.Kind(check.UserTask), check.AsleepOn("hold_park"), check.Diagnosed("signal-frees")))
		tid := sleeper(t, p, "hold_park").TID
		p = p.Follow(t, patience).Expect(t, check.Complete)
		phase := p.Phase(t)
		require.Len(t, phase.Signals, 1, "signals during the transition")
		require.NotNil(t, phase.Rounds, "rounds cannot be counted")
		require.GreaterOrEqual(t, *phase.Rounds, 15)
		signal := time.Duration(phase.Signals[0] - phase.Start)
		require.Greater(t, phase.Took(), signal, "it ended before the signal")
		require.Greater(t, signal, 14*750*time.Millisecond, "the 15th round came too early")
		// It was in the way all the time until then.
		reader := lookedAt(phase, tid)
		require.Greater(t, len(reader), 1, "examinations of it")
		for _, b := range reader.Where(func(e observe.Event) bool { return e.T < phase.Signals[0] }) {
			require.Equal(t, "hold_park", b.Blocker.Function)
		}

		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// sleeper is the task that was found asleep on function when p stalled.
func sleeper(t *testing.T, p *harness.Patch, function string) observe.Blocker {
	t.Helper()
	for _, b := range p.Outcome.Blockers {
		if b.Reason == observe.Asleep && b.Function == function {
			return b
		}
	}
	t.Fatalf("nobody sleeps on %s", function)
	return observe.Blocker{}
}

// lookedAt are the examinations of one thread in the way.
func lookedAt(p *observe.Phase, tid int) observe.Timeline {
	return p.Blockers.Where(func(e observe.Event) bool { return e.Blocker.TID == tid })
}
