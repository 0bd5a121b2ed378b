// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestInterruption: a patch that keeps interrupts from a CPU for 30 ms is found
// out by a task and by an interrupt; one that does not is no worse than the load
// alone. What the host took while it was measured counts for nobody, so on a
// host that is busy the 30 ms may be void, and then are told as such.
func TestInterruption(t *testing.T) {
	const deafMS, ms = 30, int64(1e6)
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Load("proc-readers"), harness.Interruption())
		vm.Settle(t)
		p := vm.Apply(t, "testdata/deaf")
		p.Expect(t, check.Complete)
		vm.Settle(t)
		p.Revert(t).Expect(t, check.Complete)
		i, notes := vm.Interruption(t)
		for _, n := range notes {
			t.Log(n)
		}
		require.NotNil(t, i.Witness)
		require.False(t, i.Virtual)
		require.NotNil(t, i.Clock)
		for who, w := range map[string]struct{ seen, before, patched, found, void int64 }{
			"probe": {i.Baseline.Count + i.Baseline.VoidCount, i.Baseline.P50NS, i.Patched.P50NS, i.Apply.CPUs[0].MaxNS, i.Apply.CPUs[0].VoidCount},
			"timer": {i.Witness.Baseline.Count + i.Witness.Baseline.VoidCount, i.Witness.Baseline.P50NS, i.Witness.Patched.P50NS, i.Witness.Apply.CPUs[0].MaxNS, i.Witness.Apply.CPUs[0].VoidCount},
		} {
			t.Logf("%s: %+v", who, w)
			require.Positive(t, w.seen, who)
			found := w.found >= (deafMS-1)*ms || w.void >= deafMS-1
			if strings.Contains(i.Noise, "had no time for a deadline each") {
				// Fewer were asked for: the first may have been due when the 30 ms
				// were half over.
				found = w.found+w.void > 0
			}
			require.Truef(t, found, "%s: neither 30 ms nor 30 deadlines void: %+v", who, i.Apply)
			if i.Noise == "" { // on hardware, or a host with nothing else to do
				require.Less(t, w.patched, 10*w.before, "%s: half of the time, patched against before", who)
			}
		}
	})
}

// TestStarvedProbe: a probe that is kept from running in a window has seen
// nothing there, and this is told, not a longest interruption of 0; the timer,
// which nobody can keep so, has.
func TestStarvedProbe(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Interruption())
		vm.Settle(t)
		pid := processCalled(t, vm, "switchyard-prob")
		require.NoError(t, vm.Client.Signal(t.Context(), pid, pid, syscall.SIGSTOP))
		threads := fmt.Sprintf("/proc/%d/task", pid)
		all, err := vm.Client.ReadDir(t.Context(), threads)
		require.NoError(t, err)
		for _, thread := range all { // each stops when it next comes to run
			vm.Eventually(t, threads+"/"+thread.Name+"/stat", func(stat string) bool { return strings.Contains(stat, ") T ") })
		}
		require.NoError(t, vm.LatenessWindow(t.Context(), "apply"))
		require.NoError(t, vm.Client.Pause(t.Context(), 200*time.Millisecond))
		require.NoError(t, vm.LatenessWindow(t.Context(), "patched"))
		require.NoError(t, vm.Client.Signal(t.Context(), pid, pid, syscall.SIGCONT))
		vm.Settle(t)
		i, notes := vm.Interruption(t)
		text := strings.Join(notes, "\n")
		require.NotNil(t, i.Apply)
		require.Zero(t, i.Apply.Count)
		require.Len(t, i.Apply.Starved, vm.CPUs)
		for cpu := range vm.CPUs {
			require.Contains(t, text, "the probe never ran on CPU "+strconv.Itoa(cpu)+" in window apply")
			require.Positive(t, i.Patched.CPUs[cpu].Count+i.Patched.CPUs[cpu].VoidCount, "after it went on")
			timer := i.Witness.Apply.CPUs[cpu]
			// Of some 200 deadlines; a timer that is late for want of a host's CPU
			// asks for fewer.
			require.Positive(t, timer.Count+timer.VoidCount)
		}
		require.Empty(t, i.Witness.Apply.Starved)
		// The deadline for which it was waiting was of the window before.
		require.True(t, i.Baseline.MaxNS >= int64(200*time.Millisecond) || i.Baseline.VoidCount > 0, "%+v", i.Baseline.Lateness)
	})
}

// processCalled is the process of a name, in the guest.
func processCalled(t *testing.T, vm *harness.VM, comm string) int {
	t.Helper()
	entries, err := vm.Client.ReadDir(t.Context(), "/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name)
		if err != nil {
			continue
		}
		tasks, err := vm.Client.ReadDir(t.Context(), "/proc/"+e.Name+"/task")
		if err != nil || len(tasks) == 0 { // it ended meanwhile
			continue
		}
		for _, task := range tasks {
			text, err := vm.Client.ReadFile(t.Context(), "/proc/"+e.Name+"/task/"+task.Name+"/comm")
			if err == nil && strings.TrimSpace(string(text)) == comm {
				return pid
			}
		}
	}
	t.Fatalf("no process in the guest has a thread called %s", comm)
	return 0
}
