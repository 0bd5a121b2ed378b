// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// turns is how often TestShadowDoesNotLeak loads and unloads its patch.
const turns = 100

// TestShadowDoesNotLeak loads and unloads a patch with callbacks and a shadow
// variable again and again. The patch refuses to load when a variable of an
// earlier turn is left, and says how many it made and freed; the modules and
// livepatches there are at the end are those of the beginning.
func TestShadowDoesNotLeak(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		// With one vCPU no idle task is running when the core first tries, so
		// that a transition ends in its first round and not a second later.
		vm := harness.Boot(t, k, harness.CPUs(1))
		modules := vm.Modules(t)
		m := vm.Build(t, "testdata/shadow")
		for turn := range turns {
			p := vm.ApplyModule(t, m).Expect(t, check.Complete)
			for read := 1; read <= 2; read++ {
				require.Equal(t, fmt.Sprintf("read %d times since patched\n", read), vm.ReadFile(t, cmdline), "turn %d", turn)
			}
			p.Revert(t).Expect(t, check.Complete)
			p.Unload(t)
		}
		require.Equal(t, modules, vm.Modules(t))
		require.Empty(t, vm.Livepatches(t))

		log := vm.KernelLogFenced(t)
		for _, callback := range []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch made=1 freed=1"} {
			require.Equal(t, turns, count(log, "switchyard_shadow: "+callback), callback)
		}
	})
}

// count is the number of lines that end with text.
func count(lines []string, text string) (n int) {
	for _, l := range lines {
		if strings.HasSuffix(l, text) {
			n++
		}
	}
	return n
}
