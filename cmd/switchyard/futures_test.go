// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNoSnapshotStays kills `switchyard run` while it has a snapshot of a
// stall: neither that nor a fork of it stays.
func TestNoSnapshotStays(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			mark := fmt.Sprintf("SWITCHYARD_TEST_MARK=%s-%d", t.Name(), os.Getpid())
			cmd := exec.Command("switchyard", "run", "../../cases/testdata/doze", "-kernel", "6.1", "-load", "none", "-stall-after", "1s", "-futures", "wait,signal")
			cmd.Env = append(os.Environ(), mark)
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(stderr)
			seen := false
			for !seen && lines.Scan() {
				seen = strings.HasSuffix(lines.Text(), ": try what would have freed it")
			}
			require.True(t, seen, "the run never came to the futures")
			snapshots := 0
			for _, dir := range scratch(t, cmd.Process.Pid) {
				found, err := filepath.Glob(filepath.Join(dir, "snapshot", "state"))
				require.NoError(t, err)
				snapshots += len(found)
			}
			require.Equal(t, 1, snapshots, "the snapshot is not where it is looked for")
			require.NoError(t, cmd.Process.Signal(signal))
			for lines.Scan() { // until it is gone, or its pipe fills
			}
			_ = cmd.Wait()

			require.Eventually(t, func() bool { return len(marked(t, mark)) == 0 }, 20*time.Second, 20*time.Millisecond, "processes stay")
			require.Eventually(t, func() bool { return len(scratch(t, cmd.Process.Pid)) == 0 }, 20*time.Second, 20*time.Millisecond, "a snapshot stays")
		})
	}
}
