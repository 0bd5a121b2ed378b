// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"slices"
	"strings"
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

// TestSilentInTransition hangs the guest with interrupts off in the middle of a
// transition: its memory, read from outside, names the task that had not
// switched.
func TestSilentInTransition(t *testing.T) { harness.EachKernel(t, silentInTransition) }

// TestSilentAndMoved is the same of a guest whose kernel may lie anywhere: its own
// boot code starts it, which moves it (KASLR).
func TestSilentAndMoved(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		if k.BZImage == "" {
			t.Logf("%s: it has no boot code", k.Release)
			return
		}
		moved := *k
		moved.NoPVH = true
		silentInTransition(t, &moved)
	})
}

func silentInTransition(t *testing.T, k *kernels.Kit) {
	if !k.Can(kernels.BTF) {
		t.Logf("%s: its image has no types, so nothing can be read", k.Release)
		return
	}
	vm := harness.Boot(t, k, harness.Commands(), harness.CPUs(1), harness.SilenceAfter(15*time.Second), harness.AllowReport("."))
	park(t, vm, "uninterruptible")
	p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(3*time.Second))
	p.Expect(t, check.Stalled(check.Named("cat")))

	vm.Tell(t, knobs+"hang", "1")
	var silent *harness.Silence
	require.ErrorAs(t, vm.Died(t), &silent)
	var remembered []observe.Blocker
	for _, e := range vm.Timeline() {
		if b := e.Blocker; b != nil && slices.Contains(b.Witnesses, observe.ByMemory) {
			remembered = append(remembered, *b)
		}
		if e.Action != nil && e.Action.Name == "read the task list" {
			require.Empty(t, e.Action.Error)
		}
	}
	require.True(t, slices.ContainsFunc(remembered, func(b observe.Blocker) bool {
		return b.Comm == "cat" && b.Kind == observe.UserTask && b.State == "D"
	}), "cat is not among those left: %+v", remembered)
	// Whoever hangs the CPU has not switched, or has: what counts is that not
	// all tasks are named.
	require.Less(t, len(remembered), 10, "tasks that had not switched")
}

// TestFloodedConsole: the livepatch core prints all it can onto the console, for
// many tasks in each round. Our own question to it is left out then, nothing
// that was logged is lost, and the verdicts are what they would be without.
func TestFloodedConsole(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		if !k.Can(kernels.DynamicDebug) {
			t.Logf("%s: its core cannot be told to print", k.Release)
			return
		}
		const many = 90
		vm := harness.Boot(t, k, harness.With(holdModule), harness.Load(fmt.Sprintf("proc-readers:%suninterruptible=%d", knobs, many)))
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == fmt.Sprint(many) })
		vm.WriteFile(t, "/proc/sys/kernel/printk", "8")
		vm.WriteFile(t, "/proc/dynamic_debug/control", "func klp_try_switch_task +p")

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(8*time.Second))
		p.Expect(t, check.Stalled(check.Kind(check.UserTask), check.AsleepOn("hold_park"), check.Diagnosed("uninterruptible")))
		named := 0
		for _, b := range p.Outcome.Blockers {
			require.NotContains(t, b.Witnesses, observe.ByCore, "the core was asked although it prints onto the console")
			if b.Function == "hold_park" {
				named++
			}
		}
		require.Equal(t, many, named, "all of them are named")

		vm.WriteFile(t, knobs+"release", "1")
		p.Follow(t, 40*time.Second).Expect(t, check.Complete)
		told := 0
		for _, e := range vm.Timeline() {
			require.Nil(t, e.Lost, "events were lost")
			if e.KernelLog != nil && strings.Contains(e.KernelLog.Text, "is sleeping on function hold_park") {
				told++
			}
		}
		require.GreaterOrEqual(t, told, 2*many, "the core did not flood anything")
	})
}

// TestTenThousandTasks watches a transition in a guest with that many: the one
// in the way is found, no look takes the guest's time away from it, and what
// watching took is told.
func TestTenThousandTasks(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.Memory(1024))
		vm.WriteFile(t, "/proc/sys/kernel/threads-max", "20000") // by its memory it would be 8,000
		vm.Insert(t, "testdata/crowd")
		held := park(t, vm, "uninterruptible")

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(15*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.AsleepOn("hold_park"), check.Diagnosed("uninterruptible")))
		samples := p.Phase(t).Samples
		last := samples[len(samples)-1].Sample
		require.Greater(t, last.Total, 10_000, "tasks that are watched")
		require.Less(t, last.Left, 10, "tasks left")
		// By medians: what the host takes from an emulated guest in the middle of a
		// look is not the watcher's.
		var shares []float64
		for _, e := range vm.Timeline() {
			if c := e.Cost; c != nil && c.TypicalNS > 0 {
				shares = append(shares, float64(c.TypicalNS*int64(c.Looks)+c.ScanNS)/float64(c.WallNS))
			}
		}
		require.NotEmpty(t, shares)
		slices.Sort(shares)
		share := shares[len(shares)/2]
		t.Logf("%s: watching %d tasks took %.1f %% of a guest CPU", k.Release, last.Total, 100*share)
		require.Less(t, share, 0.2, "of a guest CPU")

		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		p.Follow(t, 60*time.Second).Expect(t, check.Complete)
	})
}
