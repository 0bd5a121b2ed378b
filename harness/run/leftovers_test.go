// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReusedFolder: of an earlier run in the same folder nothing stays, whatever
// kind of run it was; what is the user's own does.
func TestReusedFolder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"run.jsonl", "timeline.jsonl", "bundle.tar.zst", "trace.json",
		"serial.log", "serial.log.tail0", "serial.log.tail1", "qmp.jsonl", "qemu.log", "cmdline.txt", "fork.in", "fork.out", "memory-123",
		"plan.bin", "results.jsonl", "recording.json", "execution.log", "initramfs.cpio", "vmlinux",
		"memory.elf", "gdb.sock", "attach", "switchyard.gdb", "switchyard.py",
		"futures/signal/serial.log", "snapshot-boot/serial.log", "failed-fork-17/serial.log",
		"notes.txt", "bundle.tar.zst.kept", "seed-3/bundle.tar.zst",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("of an earlier run"), 0o644))
	}
	// Of a run that was killed: QEMU's own end of it is gone.
	require.NoError(t, os.Symlink("/proc/self/fd/3", filepath.Join(dir, "console.in")))
	require.NoError(t, os.Symlink("/proc/self/fd/4", filepath.Join(dir, "console.out")))

	x := &execution{Plan: &Plan{Dir: dir}}
	require.NoError(t, x.open())
	require.NoError(t, x.journal.Close())
	require.Equal(t, []string{"bundle.tar.zst.kept", "notes.txt", "run.jsonl", "seed-3"}, names(t, dir))
	text, err := os.ReadFile(filepath.Join(dir, "run.jsonl"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "earlier")
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// requireListed holds what a run left to the list that the next one clears by.
func requireListed(t *testing.T, dir string) {
	t.Helper()
	for _, name := range names(t, dir) {
		require.True(t, isLeftover(name), "%s is not in the list of what a run leaves", name)
	}
}
