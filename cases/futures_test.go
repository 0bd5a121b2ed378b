// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestFuturesOfAStall takes a snapshot of a transition that a task asleep in
// the patched function holds up, and tries in forks of that moment what frees
// it: a signal frees a task that signals can wake and no other, time alone
// (before the core's own signal) neither, the way back both. The guest itself,
// paused meanwhile, hears nothing of it.
func TestFuturesOfAStall(t *testing.T) {
	for _, c := range []struct {
		knob      string
		patience  time.Duration // of guest time, for the signal
		signalled check.Expectation
	}{
		{"interruptible", 20 * time.Second, check.Complete},
		{"uninterruptible", 4 * time.Second, check.Stalled(check.Named("cat"), check.AsleepOn("hold_park"))},
	} {
		t.Run(c.knob, func(t *testing.T) {
			harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
				vm := harness.Boot(t, k, harness.Commands(), harness.Load("pipe=1"))
				held := park(t, vm, c.knob)
				p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(3*time.Second))
				stalled := check.Stalled(check.Named("cat"), check.AsleepOn("hold_park"))
				p.Expect(t, stalled)
				moment := vm.Snapshot(t)
				vm.Pause(t)

				t.Run("wait", func(t *testing.T) {
					fork := moment.Fork(t, 1)[0]
					p := p.In(fork).Follow(t, 3*time.Second).Expect(t, stalled)
					// One and the same transition, with its past.
					require.Greater(t, p.Phase(t).Took(), 5*time.Second)
					require.Len(t, fork.Timeline().Phases(), 1)
					fork.LoadsProgress(t)
					continuous(t, fork)
				})
				t.Run("signal", func(t *testing.T) {
					fork := moment.Fork(t, 1)[0]
					cat := p.Outcome.Blockers[slices.IndexFunc(p.Outcome.Blockers, func(b observe.Blocker) bool { return b.Comm == "cat" })]
					require.NoError(t, fork.Client.Signal(t.Context(), cat.PID, cat.TID, syscall.SIGSTOP, syscall.SIGCONT))
					p := p.In(fork).Follow(t, c.patience).Expect(t, c.signalled)
					require.Empty(t, p.Phase(t).Signals, "the core has signalled the tasks by itself")
				})
				t.Run("revert", func(t *testing.T) {
					fork := moment.Fork(t, 1)[0]
					p := p.In(fork).Revert(t).Expect(t, check.Complete)
					require.True(t, p.Phase(t).Reversed)
					p.Unload(t)
				})

				vm.Resume(t)
				require.NotEmpty(t, vm.Livepatches(t), "a fork's revert reached the guest")
				require.Equal(t, "1\n", vm.ReadFile(t, knobs+"parked"), "a fork let the guest's task go")
				vm.LoadsProgress(t)
				vm.WriteFile(t, knobs+"release", "1")
				require.Equal(t, "held\n", held.Wait(t))
				p.Follow(t, 40*time.Second).Expect(t, check.Complete)
				continuous(t, vm)
			})
		})
	}
}

// TestManyForksOfOneMoment forks a guest with loads running just before a
// patch is loaded, three times; each goes its own way to the end, and what each
// has told begins with what the guest had told, without a gap or a double.
func TestManyForksOfOneMoment(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Load("fork=1"))
		m := vm.Build(t, "testdata/cmdline")
		vm.LoadsProgress(t)
		past := len(observed(vm))
		moment := snapshotWhileLogging(t, vm)
		for i := range 3 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				fork := moment.Fork(t, 1)[0]
				require.Empty(t, fork.Livepatches(t))
				p := fork.ApplyModule(t, m).Expect(t, check.Complete)
				fork.LoadsProgress(t)
				p.Revert(t).Expect(t, check.Complete)
				p.Unload(t)
				continuous(t, fork)
				require.Greater(t, len(observed(fork)), past)
				require.Equal(t, observed(vm)[:past], observed(fork)[:past], "a fork's past is the guest's")
				onDisk, err := observe.Read(filepath.Join(fork.Dir, "timeline.jsonl"))
				require.NoError(t, err)
				require.Equal(t, observed(fork)[:past], numbers(onDisk)[:past], "the timeline on disk lacks the past")
			})
		}
		two := moment.Fork(t, 2)
		require.NotEqual(t, two[0].Dir, two[1].Dir)
		two[0].ApplyModule(t, m).Expect(t, check.Complete)
		require.Empty(t, two[1].Livepatches(t), "one fork's patch is in the other")
		require.Empty(t, vm.Livepatches(t), "a fork's patch is in the guest")
		vm.LoadsProgress(t)
		continuous(t, vm)
	})
}

// snapshotWhileLogging takes a snapshot of a guest that logs line after line,
// so that it has much to tell around that moment.
func snapshotWhileLogging(t *testing.T, vm *harness.VM) *harness.Snapshot {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var logging sync.WaitGroup
	logging.Go(func() {
		for ctx.Err() == nil {
			_ = vm.Client.WriteFile(ctx, "/dev/kmsg", []byte("one line more\n"))
		}
	})
	defer logging.Wait()
	defer stop()
	return vm.Snapshot(t)
}

// observed are the numbers of what the watch in the guest has told.
func observed(vm *harness.VM) []uint64 { return numbers(vm.Timeline()) }

func numbers(timeline observe.Timeline) (seqs []uint64) {
	for _, e := range timeline {
		if e.Seq != 0 {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// continuous holds the guest's timeline to have neither a gap nor a double,
// and its clock not to go back. Behind the first event, which says that the
// guest is watched, lies what it told when it was warmed for its forks.
func continuous(t *testing.T, vm *harness.VM) {
	t.Helper()
	seqs := observed(vm)
	require.Greater(t, len(seqs), 2)
	require.EqualValues(t, 1, seqs[0])
	for i, seq := range seqs[2:] {
		require.Equal(t, seqs[i+1]+1, seq, "event %d of %d", i+2, len(seqs))
	}
	require.Empty(t, vm.Timeline().Kind(observe.KindLost))
	var record uint64 // by the kernel's own count
	for _, e := range vm.Timeline().Kind(observe.KindKernelLog) {
		if record != 0 {
			require.Equal(t, record+1, e.KernelLog.Seq, "the kernel's log is that of two guests: %s", e.KernelLog.Text)
		}
		record = e.KernelLog.Seq
	}
	var last int64
	for _, e := range vm.Timeline().Kind(observe.KindCost) {
		require.Greater(t, e.T, last, "the guest's clock went back")
		last = e.T
	}
}
