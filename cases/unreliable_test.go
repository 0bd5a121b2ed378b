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

// TestUnreliableStacks patches a kernel that cannot tell what a task sleeps in
// (`switchyard kernels build 6.6 -fragment no-reliable-stacktrace`). Nothing may
// be taken for switched there that only looks as if it slept elsewhere: tasks
// that leave the kernel switch on their way out, and kernel threads, which never
// leave it, hold the patch up. It can be taken back. Where stacks are reliable,
// the same patch goes through.
func TestUnreliableStacks(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		original := vm.ReadFile(t, cmdline)
		p := vm.Apply(t, "testdata/cmdline", harness.StallAfter(40*time.Second))
		if k.Can(kernels.ReliableStacks) {
			p.Expect(t, check.Complete)
		} else {
			p.Expect(t, check.Stalled(check.Kind(check.KThread)))
		}
		require.Contains(t, vm.ReadFile(t, cmdline), "has been live patched")
		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, original, vm.ReadFile(t, cmdline))
		p.Unload(t)
	})
}
