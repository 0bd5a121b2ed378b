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
// cond_resched() (class 5 of the bug list). It is never seen off its CPU, so
// where cond_resched() is no place to switch at, the transition waits for it
// as long as it runs.
func TestCondResched(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		// The CPU of the spinner is its own, so that the agent that asks for
		// the transition, and the core's work, never take it.
		vm := harness.Boot(t, k, harness.CPUs(2), harness.KernelArgs("isolcpus=1"))
		spin := vm.Insert(t, "testdata/spin")
		vm.Eventually(t, "/sys/kernel/debug/switchyard_spin/turns", func(n string) bool { return n != "0" })

		if k.Can(kernels.CondReschedSwitching) {
			// Slow under TCG (see kernels.SlowDynamicPreemptTCG), so once is
			// enough: on the way back the kthread switches no other way.
			vm.Apply(t, "testdata/cmdline", harness.StallAfter(100*time.Second)).Expect(t, check.Complete)
			return
		}
		p := vm.Apply(t, "testdata/cmdline", harness.StallAfter(5*time.Second))
		p.Expect(t, check.Stalled(check.Named("switchyard-spin"), check.Kind(check.KThread), check.Running))
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that runs")

		vm.Remove(t, spin.Name) // it ends
		p = p.Follow(t, 20*time.Second).Expect(t, check.Complete)
		p.Revert(t).Expect(t, check.Complete)
	})
}
