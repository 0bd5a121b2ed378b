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

// TestBPFFrame patches while a task sleeps below a function that a BPF program
// is fastened to (class 11 of the bug list). The code that calls both is on its
// stack, made at run time, and no table tells the unwinder how to pass it: it
// knows by itself, or must say that it cannot tell.
func TestBPFFrame(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		if !k.Can(kernels.BTF) {
			t.Skipf("%s has no %s, by which a BPF program finds its function", k.Release, kernels.BTF)
		}
		vm := harness.Boot(t, k, harness.With(holdModule))
		reader := vm.Start(t, vm.Program(t, "./tasks"), "fexit", "vfs_read", knobs+"uninterruptible")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })

		p := vm.Apply(t, "testdata/cmdline", harness.StallAfter(5*time.Second))
		if k.Can(kernels.BPFUnwinding) {
			p.Expect(t, check.Complete)
		} else {
			p.Expect(t, check.Stalled(check.Named("tasks"), check.Kind(check.UserTask), check.UnreliableStack, check.Diagnosed("bpf-frame")))
			require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that is held")
		}
		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", reader.Wait(t))
		p = p.Follow(t, patience).Expect(t, check.Complete)
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}
