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

// TestIOWorker patches the function that a worker of io_uring sleeps in, on
// behalf of a program that reads (class 15 of the bug list). The core's signal
// reaches it: the read breaks off.
func TestIOWorker(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.With(holdModule))
		reader := vm.Start(t, vm.Program(t, "./tasks"), "uring", knobs+"interruptible")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })

		p := vm.Apply(t, "testdata/hold", harness.WithoutTarget(), harness.StallAfter(5*time.Second))
		p.Expect(t, check.Stalled(check.Kind(check.IOWorker), check.AsleepOn("hold_park"), check.Diagnosed("io-worker")))
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the worker")
		p = p.Follow(t, patience).Expect(t, check.Complete)
		require.NotEmpty(t, p.Phase(t).Signals, "the worker switched before the core's signal")
		// 6.18 hands the kernel's own ERESTARTSYS on.
		require.Regexp(t, "^(interrupted system call|errno 512)\n$", reader.Wait(t))
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}
