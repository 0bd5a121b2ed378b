// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// kept is the one folder with what a failed fork left behind.
func kept(t *testing.T, dir string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "failed-fork-*"))
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// TestGoldenThatDoesNotComeUp has snapshots that open, and then QEMU does not
// take them, the guest hangs, or nothing helps: each is thrown away and made
// again once, then the guest is booted. What the failed fork said is kept.
func TestGoldenThatDoesNotComeUp(t *testing.T) {
	cache := seededCache(t)
	y := testYard(t)
	cfg := guestConfig(t, y, "6.1")
	g := start(t, y, cfg)
	good := t.TempDir()
	dir := entry(t, cache)
	copyTree(t, dir, good)
	// A guest that stands still, as one does whose CPU is of another kind.
	still := t.TempDir()
	_, err := g.Snapshot(t.Context(), still)
	require.NoError(t, err)
	require.NoError(t, g.Close(t.Context()))

	for _, c := range []struct {
		name  string
		forge func(dir string)
		says  string
	}{
		{"QEMU refuses it", func(dir string) {
			text, err := os.ReadFile(filepath.Join(dir, "state"))
			require.NoError(t, err)
			copy(text[len(text)/2:], make([]byte, 4096))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "state"), text, 0o600))
			sum, err := store.HashFile(filepath.Join(dir, "state"))
			require.NoError(t, err)
			about(t, dir, func(about map[string]any) { about["state_sha256"] = sum })
		}, "QEMU exited"},
		{"the guest hangs", func(dir string) {
			for _, name := range []string{"state", "snapshot.json"} {
				text, err := os.ReadFile(filepath.Join(still, name))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
			}
			about(t, dir, func(about map[string]any) { about["paused"] = false })
		}, "no answer within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			forge(t, y.Store, filepath.Base(dir), good, c.forge)
			before := made(t, dir)
			next := testYard(t)
			next.forkTimeout = 5 * time.Second
			own := cfg
			own.Dir = t.TempDir()
			g, err := next.Boot(t.Context(), own)
			require.NoError(t, err)
			t.Cleanup(func() { _ = g.Close(t.Context()) })
			require.Equal(t, StartFork, g.Origin.Start, "%v", g.Origin.Failures)
			require.Len(t, g.Origin.Failures, 1)
			require.Contains(t, g.Origin.Failures[0], c.says)
			require.NotEqual(t, before, made(t, dir), "not made again")
			require.FileExists(t, filepath.Join(kept(t, own.Dir), "cmdline.txt"))
			require.FileExists(t, filepath.Join(own.Dir, "cmdline.txt"))
		})
	}

	t.Run("none does", func(t *testing.T) {
		next := testYard(t)
		next.forkTimeout = time.Nanosecond
		g := start(t, next, cfg)
		require.Equal(t, StartCold, g.Origin.Start)
		require.Len(t, g.Origin.Failures, forkTries)
		require.NoDirExists(t, dir)
		hello := g.Client.Hello()
		require.NotEmpty(t, hello.Capabilities, "a guest that was booted says all")
	})
}

// TestCrashWhileWarming: a kernel that panics before it can be saved ends the
// run as if it had been booted for it, with its words; no snapshot stays.
func TestCrashWhileWarming(t *testing.T) {
	cache := ownCache(t, "")
	mark := mark(t)
	y := testYard(t)
	cfg := guestConfig(t, y, "6.1")

	bad := cfg
	bad.Append = []string{"rdinit=/nowhere"}
	_, err := y.Boot(t.Context(), bad)
	var panicked *vm.GuestPanic
	require.ErrorAs(t, err, &panicked)
	require.Contains(t, panicked.Reason, "Unable to mount root")
	for _, log := range []string{"snapshot-boot/serial.log", "serial.log"} {
		text, err := os.ReadFile(filepath.Join(bad.Dir, log))
		require.NoError(t, err)
		require.Contains(t, string(text), "Kernel panic", log)
	}

	// One that dies at the last moment: the evidence is kept as well.
	machine, err := y.machine(t.Context(), cfg)
	require.NoError(t, err)
	_, err = y.makeGolden(t.Context(), cfg, machine, func(ctx context.Context, own vm.Config) (*Guest, error) {
		g, err := y.boot(ctx, cfg, own)
		if err == nil {
			require.NoError(t, syscall.Kill(g.Machine.Pid(), syscall.SIGKILL))
		}
		return g, err
	})
	var killed *vm.QEMUKilled
	require.ErrorAs(t, err, &killed)
	require.FileExists(t, filepath.Join(cfg.Dir, "snapshot-boot", "serial.log"))

	left, err := filepath.Glob(filepath.Join(cache, goldenKind, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	left, err = filepath.Glob(filepath.Join(cache, "tmp", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	await(t, mark, 0)
}

// TestGoldenOnFullDisk: a disk that is too small for the guest's memory is
// named, with what to do, and the guest is booted; one that is full later does
// not keep the snapshot on it from being forked.
func TestGoldenOnFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=300m,mode=700"); err != nil {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	cache := ownCache(t, disk)
	y := testYard(t)
	cfg := guestConfig(t, y, "6.1")
	for _, leave := range []int64{0, 40 << 20} {
		fill(t, disk, leave)
		g := start(t, y, cfg)
		require.Equal(t, StartCold, g.Origin.Start)
		require.Len(t, g.Origin.Failures, 1)
		t.Log(g.Origin.Failures[0])
		require.Contains(t, g.Origin.Failures[0], "no space left on device")
		require.Contains(t, g.Origin.Failures[0], "free some space")
		require.NoError(t, g.Close(t.Context()))
	}
	left, err := filepath.Glob(filepath.Join(cache, "tmp", "*"))
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, os.Remove(filepath.Join(disk, "filler")))
	forked := start(t, y, cfg)
	require.Equal(t, StartFork, forked.Origin.Start, "%v", forked.Origin.Failures)
	// Too little for another one. What a fork reads of its memory's holes takes
	// room on a tmpfs, and on no other disk.
	fill(t, disk, 24<<20)
	g := start(t, testYard(t), cfg)
	require.Equal(t, StartFork, g.Origin.Start, "%v", g.Origin.Failures)
	require.Empty(t, g.Origin.Failures)
}

// fill leaves so many bytes of the disk free.
func fill(t *testing.T, disk string, leave int64) {
	t.Helper()
	filler := filepath.Join(disk, "filler")
	_ = os.Remove(filler)
	var stat unix.Statfs_t
	require.NoError(t, unix.Statfs(disk, &stat))
	f, err := os.Create(filler)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Fallocate(int(f.Fd()), 0, 0, int64(stat.Bavail)*stat.Bsize-leave), fmt.Sprint(leave))
}
