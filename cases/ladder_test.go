// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// rungs is how many patches the ladder has.
const rungs = 5

func rung(n int) string {
	return filepath.Join("testdata/diffs/ladder", fmt.Sprintf("rung-%d.patch", n))
}

// TestLadder climbs five cumulative patches under load, each replacing the one
// before it, and comes down again the same way: on every rung its own code runs,
// whatever the one before had changed. The last one is reverted.
func TestLadder(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		withSource(t, k)
		vm := harness.Boot(t, k, harness.Load("fork", "pipe"))
		var on *harness.Patch
		step := func(n int) {
			p := vm.Apply(t, rung(n), harness.Replacing()).Expect(t, check.Complete)
			require.True(t, p.Module.Manifest.Replace)
			for _, probe := range harness.Probes(t, rung(n)) {
				require.Regexp(t, probe.After, vm.ReadFile(t, probe.Read), "rung %d", n)
			}
			if on != nil { // replaced, and so of no more use
				on.Unload(t)
			}
			on = p
			require.Len(t, vm.Livepatches(t), 1)
			vm.LoadsProgress(t)
		}
		for n := 1; n <= rungs; n++ {
			step(n)
		}
		for n := rungs - 1; n >= 1; n-- {
			step(n)
		}
		on.Revert(t).Expect(t, check.Complete)
		for _, probe := range harness.Probes(t, rung(1)) {
			require.Regexp(t, probe.Before, vm.ReadFile(t, probe.Read))
		}
		on.Unload(t)
		require.Empty(t, vm.Livepatches(t))
	})
}
