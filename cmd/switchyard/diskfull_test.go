// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEvidenceOnFullDisk: a run that cannot keep its evidence says so and
// does not pass; of many, those that would have no place either are not begun.
func TestEvidenceOnFullDisk(t *testing.T) {
	for _, repeat := range []string{"1", "50"} {
		dir := t.TempDir()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32k"); err != nil {
			t.Skipf("mounting a small disk needs root: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		cmd := exec.Command("switchyard", "run", "../../cases/testdata/cmdline", "-kernel", "6.1", "-vms", "6", "-repeat", repeat, "-artifacts", dir)
		out, err := cmd.CombinedOutput()
		require.Error(t, err, "%s", out)
		require.Equal(t, 1, cmd.ProcessState.ExitCode())
		require.Contains(t, string(out), "no space left on device")
		require.Contains(t, string(out), "free some space")
		begun, err := filepath.Glob(filepath.Join(dir, "*", "repeat-*"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(begun), 6)
	}
}
