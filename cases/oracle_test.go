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
// its log, named as what it is, and counted once.
func TestOracle(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		for _, c := range []struct{ knob, kind, title string }{
			{"warn", "warning", `complain_warn`},
			{"atomic", "atomic", `scheduling while atomic`},
			{"bug", "oops", `kernel BUG at .*switchyard_complain\.c`},
			{"null", "oops", `NULL pointer dereference`},
		} {
			vm := harness.Boot(t, k, harness.AllowReport("."))
			vm.Insert(t, "testdata/complain")
			require.Empty(t, check.Reports(vm.KernelLogFenced(t)), "reports before anything was done")

			// A command of its own, since the kernel ends who meets a bug.
			_, err := vm.Client.Run(t.Context(), "/bbin/gosh", "-c", "echo 1 > /sys/kernel/debug/switchyard_complain/"+c.knob)
			require.NoError(t, err)
			reports := check.Reports(vm.KernelLogFenced(t))
			require.Len(t, reports, 1, "%s: %+v", c.knob, reports)
			require.Equal(t, c.kind, reports[0].Kind)
			require.Regexp(t, c.title, reports[0].Title)
		}
	})
}
