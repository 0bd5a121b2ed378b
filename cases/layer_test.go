// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestLayers begins where a module is loaded, and where a patch is live: each
// guest has that beginning to itself, whatever another made of it, and what
// the transition was is on its timeline.
func TestLayers(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		for range 2 {
			vm := harness.Boot(t, k, harness.Live("testdata/target"))
			p := vm.Patch(t, 0).Expect(t, check.Complete)
			require.Positive(t, p.Phase(t).Took())
			require.Equal(t, "target: patched\n", vm.ReadFile(t, targetFile))
			p.Revert(t).Expect(t, check.Complete)
			require.Equal(t, "target: original\n", vm.ReadFile(t, targetFile))
			p.Unload(t)
		}
		vm := harness.Boot(t, k, harness.With(targetModule))
		require.Equal(t, "target: original\n", vm.ReadFile(t, targetFile))
		require.Empty(t, vm.Livepatches(t))
		vm.Apply(t, "testdata/target", harness.WithoutTarget()).Expect(t, check.Complete)
		require.Equal(t, "target: patched\n", vm.ReadFile(t, targetFile))
	})
}
