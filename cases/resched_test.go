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

// TestCondResched patches while a kthread runs that only ever calls
// cond_resched() (class 5 of the bug list). Where cond_resched() is no place to
// switch at, the transition waits for it as long as it runs.
func TestCondResched(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := alone(t, k)
		if k.Can(kernels.CondReschedSwitching) {
			spinner(t, vm)
			vm.LoadsProgress(t)
			// Slow under TCG (see kernels.SlowDynamicPreemptTCG), so once is
			// enough: on the way back the kthread switches no other way.
			vm.Apply(t, "testdata/cmdline", harness.StallAfter(100*time.Second)).Expect(t, check.Complete)
			return
		}
		heldUpBySpinner(t, vm, check.Stalled(check.Named("switchyard-spin"), check.Kind(check.KThread), check.Running, check.Diagnosed("kthread-runs")), 20*time.Second)
	})
}

// heldUpBySpinner patches while the kthread runs, which holds that up as stalled
// says until it ends; then the transition does, within ends of guest time.
func heldUpBySpinner(t *testing.T, vm *harness.VM, stalled check.Expectation, ends time.Duration, params ...string) {
	t.Helper()
	spin := spinner(t, vm, params...)
	vm.LoadsProgress(t)
	for range 3 {
		p := vm.Apply(t, "testdata/cmdline", harness.StallAfter(5*time.Second))
		if byChance(t, p) {
			vm.Remove(t, spin)
			p.Revert(t).Expect(t, check.Complete)
			p.Unload(t)
			spin = spinner(t, vm, params...)
			continue
		}
		p.Expect(t, stalled)
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that runs")

		vm.Remove(t, spin) // it ends
		p = p.Follow(t, ends).Expect(t, check.Complete)
		p.Revert(t).Expect(t, check.Complete)
		return
	}
	t.Fatal("the kthread was never in the way: it switches by itself, although this kernel should not let it")
}

// spinner starts the kthread.
func spinner(t *testing.T, vm *harness.VM, params ...string) (module string) {
	t.Helper()
	m := vm.Insert(t, "testdata/spin", params...)
	vm.Eventually(t, "/sys/kernel/debug/switchyard_spin/turns", func(n string) bool { return n != "0" })
	return m.Name
}

// byChance says whether a round found the kthread off its CPU, which work that
// belongs to that CPU takes now and then. A task that switches by itself does
// not wait for a second round.
func byChance(t *testing.T, p *harness.Patch) bool {
	t.Helper()
	if p.Outcome.Verdict != check.VerdictComplete {
		return false
	}
	rounds := p.Phase(t).Rounds
	require.NotNil(t, rounds, "rounds cannot be counted")
	require.Greater(t, *rounds, 1, "the kthread switched by itself")
	return true
}
