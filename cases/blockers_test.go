// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"slices"
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
// switched. Its kernel may lie anywhere (KASLR): a guest that a boot loader's
// code starts is told by the kernel's own interrupt table.
func TestSilentInTransition(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
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
	})
}
