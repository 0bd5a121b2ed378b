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

// TestCount counts the calls of functions that a known load makes: each read
// of a file in /proc shows it once. Of the other function there must be none,
// and afterwards nothing is left.
func TestCount(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		modules, original := vm.Modules(t), vm.ReadFile(t, cmdline)

		p := vm.Apply(t, "count:cmdline_proc_show,version_proc_show").Expect(t, check.Complete)
		counts := func() (shown, other uint64) {
			all := p.Measured(t)
			require.Len(t, all, 2)
			require.Equal(t, "cmdline_proc_show", all[0].Name)
			return all[0].Calls, all[1].Calls
		}
		before, _ := counts()
		require.Zero(t, before)
		for reads := range uint64(25) {
			shown, _ := counts()
			require.Equal(t, reads, shown)
			require.Equal(t, original, vm.ReadFile(t, cmdline))
		}
		vm.ReadFile(t, "/proc/version")
		shown, other := counts()
		require.Equal(t, uint64(25), shown)
		require.Equal(t, uint64(1), other)

		p = p.Revert(t).Expect(t, check.Complete)
		vm.ReadFile(t, cmdline)
		shown, _ = counts()
		require.Equal(t, uint64(25), shown, "calls after the revert do not count")
		p.Unload(t)
		require.Equal(t, modules, vm.Modules(t))
		require.Empty(t, vm.Livepatches(t))
	})
}

// TestTime times functions. A task that sleeps in a call under way has the
// stub's frame on its stack: the unwinder must see through it, or no other
// patch could be applied; and the instrument must not go before it.
func TestTime(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands())
		vm.Insert(t, holdModule)
		modules := vm.Modules(t)

		p := vm.Apply(t, "time:cmdline_proc_show,vfs_read").Expect(t, check.Complete)
		for range 10 {
			vm.ReadFile(t, cmdline)
		}
		shown := p.Measured(t)[0]
		require.Equal(t, uint64(10), shown.Calls)
		require.Equal(t, uint64(10), shown.Started)
		require.Positive(t, shown.Longest)
		require.LessOrEqual(t, shown.Mean(), shown.Longest)
		require.LessOrEqual(t, shown.Longest, shown.Total)

		held := vm.Start(t, "/bbin/cat", knobs+"uninterruptible")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })
		reads := p.Measured(t)[1]
		require.Greater(t, reads.Started, reads.Calls, "the call under way")
		other := vm.Apply(t, "testdata/cmdline").Expect(t, check.Complete)
		other.Revert(t).Expect(t, check.Complete)
		other.Unload(t)

		p = p.Revert(t, harness.StallAfter(3*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.AsleepOn("vfs_read")))
		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		p = p.Follow(t, 40*time.Second).Expect(t, check.Complete)

		all := p.Measured(t)
		require.Equal(t, all[1].Started, all[1].Calls, "every call has ended")
		require.Greater(t, all[1].Longest, all[0].Longest, "the reader slept")
		p.Unload(t)
		require.Equal(t, modules, vm.Modules(t))
		require.Empty(t, vm.Livepatches(t))
	})
}
