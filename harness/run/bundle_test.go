// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestAgain: the line names a kernel that only the user can point to, as it can
// be pointed to from any folder, and no other.
func TestAgain(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	for _, c := range []struct {
		path string
		mode bundle.Mode
		want string
	}{
		{"", bundle.Auto, "switchyard repro '/out dir/b'"},
		{"./linux", bundle.Auto, "switchyard repro '/out dir/b' -kernel " + filepath.Join(here, "linux")},
		{"my kernels/linux", bundle.Always, "switchyard repro '/out dir/b' -kernel '" + filepath.Join(here, "my kernels/linux") + "'"},
		{"/boot/vmlinuz", bundle.Always, "switchyard repro '/out dir/b' -kernel /boot/vmlinuz"},
		{"~/linux", bundle.Always, "switchyard repro '/out dir/b' -kernel '~/linux'"},
		{"host", bundle.Auto, "switchyard repro '/out dir/b' -kernel host"},
		{"./host", bundle.Auto, "switchyard repro '/out dir/b' -kernel " + filepath.Join(here, "host")},
		{"./linux", bundle.Full, "switchyard repro '/out dir/b'"},
	} {
		p := Plan{Kernel: kernels.Candidate{Release: "6.1.0", Path: c.path}, Bundle: c.mode}
		require.Equal(t, c.want, p.Again("/out dir/b"), c.path)
	}
}
