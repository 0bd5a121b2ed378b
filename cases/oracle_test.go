// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestOracle makes the kernel report bugs and looks whether each is found in
// its log and named as what it is.
func TestOracle(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.AllowReport("."))
		vm.Insert(t, "testdata/complain")
		require.Empty(t, check.Reports(vm.KernelLogFenced(t)), "reports before anything was done")
		for _, c := range []struct{ knob, kind, title string }{
			{"warn", "warning", `complain_warn`},
			{"bug", "oops", `kernel BUG at .*complain`},
			{"null", "oops", `NULL pointer dereference`},
			{"atomic", "atomic", `scheduling while atomic`},
		} {
			// A command of its own, since the kernel ends who meets a bug;
			// nobody waits for it, since it may end only a thread of it.
			vm.Start(t, "/bbin/gosh", "-c", "echo 1 > /sys/kernel/debug/switchyard_complain/"+c.knob)
			require.Equal(t, c.kind, vm.Report(t, c.title).Kind)
		}
	})
}
