// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"

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
			require.Truef(t, w.found >= (deafMS-1)*ms || w.void >= deafMS-1, "%s: neither 30 ms nor 30 deadlines void: %+v", who, i.Apply)
			if i.Noise == "" { // on hardware, or a host with nothing else to do
				require.Less(t, w.patched, 10*w.before, "%s: half of the time, patched against before", who)
			}
		}
	})
}
