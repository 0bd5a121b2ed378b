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
	loopModule   = "testdata/loop/with/switchyard_loop.c"
	workerModule = "testdata/worker/with/switchyard_worker.c"
	faultModule  = "testdata/fault/with/switchyard_fault.c"
	workerKnobs  = "/sys/kernel/debug/switchyard_worker/"
	faultKnobs   = "/sys/kernel/debug/switchyard_fault/"
)

// TestMainLoop patches the main loop of a kernel thread (class 1 of the bug
// list): the thread is on that function for as long as it lives, so that there
// is only the way back. What the loop calls can be patched.
func TestMainLoop(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.With(loopModule))
		p := vm.Apply(t, "testdata/loop", harness.WithoutTarget(), harness.StallAfter(4*time.Second))
		p.Expect(t, check.Stalled(check.Named("looper"), check.Kind(check.KThread), check.AsleepOn("loop_main"), check.Diagnosed("kthread-loop")))
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the thread")
		p = p.Revert(t).Expect(t, check.Complete)
		require.True(t, p.Phase(t).Reversed)
		p.Unload(t)

		step := vm.Apply(t, "testdata/loop_step", harness.StallAfter(patience)).Expect(t, check.Complete)
		vm.WriteFile(t, "/sys/kernel/debug/switchyard_loop/turn", "1")
		vm.Eventually(t, "/sys/module/loop_step/parameters/turns", func(n string) bool { return n != "0" })
		step.Revert(t).Expect(t, check.Complete)
		step.Unload(t)
		vm.Remove(t, "switchyard_loop")
	})
}

// TestWorker patches the function in which a work item waits (class 2 of the
// bug list): the worker thread of the kernel's that carries it out holds the
// transition up until the work is done.
func TestWorker(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.With(workerModule))
		vm.Eventually(t, workerKnobs+"waiting", func(n string) bool { return n == "1" })
		p := vm.Apply(t, "testdata/worker", harness.WithoutTarget(), harness.StallAfter(4*time.Second))
		p.Expect(t, check.Stalled(check.Kind(check.KWorker), check.Working("worker_work"), check.AsleepOn("worker_wait"), check.Diagnosed("kworker-inside")))
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the worker")

		vm.WriteFile(t, workerKnobs+"leave", "1")
		vm.Eventually(t, workerKnobs+"waiting", func(n string) bool { return n == "0" })
		p = p.Follow(t, patience).Expect(t, check.Complete)
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// TestSignalsDoNotFreeTheKernelsOwn patches, at once, what a user task that
// signals can wake sleeps in, and what a kernel thread and a worker never leave:
// the core's signal at its 15th round frees the first, and the others not.
func TestSignalsDoNotFreeTheKernelsOwn(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.With(holdModule, loopModule, workerModule))
		// Freed, it goes on to a file that has nothing to read, and does not end
		// before it is looked at.
		vm.Start(t, "/bbin/cat", knobs+"interruptible", tracing+"trace_pipe")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })
		vm.Eventually(t, workerKnobs+"waiting", func(n string) bool { return n == "1" })

		p := vm.Apply(t, "testdata/three", harness.StallAfter(4*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.Kind(check.UserTask), check.AsleepOn("hold_park"), check.Diagnosed("signal-frees")))
		tid := sleeper(t, p, "hold_park").TID
		for len(p.Phase(t).Signals) == 0 {
			p = p.Follow(t, 4*time.Second).Expect(t, check.Stalled())
		}
		p = p.Follow(t, 4*time.Second)
		p.Expect(t, check.Stalled(check.Named("looper"), check.Kind(check.KThread), check.AsleepOn("loop_main"), check.Diagnosed("kthread-loop")))
		p.Expect(t, check.Stalled(check.Kind(check.KWorker), check.AsleepOn("worker_wait"), check.Diagnosed("kworker-inside")))
		phase := p.Phase(t)
		require.Equal(t, 2, phase.Left(), "tasks left besides thread and worker")

		// The reader was in the way until the signal, and is not since.
		freed := phase.Tasks.Where(func(e observe.Event) bool { return e.Task.TID == tid && e.Task.State == 1 })
		require.Len(t, freed, 1, "the reader did not switch")
		// The signal's stamp is from when it was read in the kernel's log, a
		// little later. Rounds are 0.75 s apart or more.
		signal := phase.Signals[0] - int64(500*time.Millisecond)
		require.Greater(t, freed[0].T, signal, "the reader switched before the signal")
		reader := lookedAt(phase, tid)
		require.NotEmpty(t, reader)
		for _, b := range reader {
			require.Less(t, b.T, freed[0].T, "the reader was in the way when it had switched")
			if b.T < signal {
				require.Equal(t, "hold_park", b.Blocker.Function)
			}
		}
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// TestPageFault patches the function below a page fault that the kernel itself
// took, in a copy to user space, and in which a task sleeps (class 14 of the
// bug list). The unwinder must see the function through the exception's frame,
// or say that it cannot, as it does without ORC; it may not let the task pass.
func TestPageFault(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.With(faultModule))
		held := vm.Start(t, "/bbin/cat", faultKnobs+"sleep")
		vm.Eventually(t, faultKnobs+"parked", func(n string) bool { return n == "1" })

		p := vm.Apply(t, "testdata/fault", harness.WithoutTarget(), harness.StallAfter(4*time.Second))
		traits := []check.Trait{check.Named("cat"), check.Kind(check.UserTask), check.Diagnosed("exception")}
		if k.Can(kernels.ORC) {
			traits = append(traits, check.AsleepOn("fault_copy"))
		}
		p.Expect(t, check.Stalled(traits...))
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that is held")

		vm.WriteFile(t, faultKnobs+"release", "1")
		require.Equal(t, "faulted\n", held.Wait(t), "the copy did not fault")
		p = p.Follow(t, patience).Expect(t, check.Complete)
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}
