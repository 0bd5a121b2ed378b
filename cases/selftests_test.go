// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestSelftests runs the kernel's own livepatch selftests unchanged. Where an
// emulated guest takes minutes for its transitions, those scripts that consist
// of little else are left to the nightly run of all of them.
func TestSelftests(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		var scripts []string // all
		if k.Can(kernels.SlowDynamicPreemptTCG) {
			scripts = []string{"livepatch", "shadow-vars", "state", "ftrace", "sysfs"}
		}
		harness.Selftests(t, k, scripts...)
	})
}
