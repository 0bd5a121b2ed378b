// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// On a machine that somebody works on the agent must refuse: it would mount
// over /tmp.
func TestRunsInAGuestOnly(t *testing.T) {
	if _, err := os.Stat(filepath.Dir(modulesList)); err == nil {
		t.Skip("this is a guest")
	}
	require.ErrorContains(t, insideGuest(), "runs nowhere else")
	require.Equal(t, 2, run())
}

func TestEachMountHasAReason(t *testing.T) {
	for _, m := range mounts {
		require.NotEmpty(t, m.why, m.target)
		require.True(t, filepath.IsAbs(m.target))
	}
	require.True(t, mounted("/proc"))
	require.False(t, mounted(t.TempDir()))
}

func TestParseModules(t *testing.T) {
	require.Equal(t, []channel.Module{
		{Name: "klpdev", Size: 16384, RefCount: 1, State: "Live", Taint: "OEK"},
		{Name: "virtio", Size: 20480, RefCount: 2, UsedBy: []string{"virtio_pci", "virtio_console"}, State: "Live"},
		{Name: "forever", Size: 1, RefCount: -1, State: "Unloading"},
	}, parseModules("klpdev 16384 1 - Live 0xffffffffc0000000 (OEK)\n"+
		"virtio 20480 2 virtio_pci,virtio_console, Live 0x0\n"+
		"forever 1 - - Unloading 0x0\nshort line\n"))
}

func TestFindPort(t *testing.T) {
	class := t.TempDir()
	path, err := findPort(class, portName)
	require.NoError(t, err)
	require.Empty(t, path)
	for dir, name := range map[string]string{"vport1p1": "org.other.0", "vport1p2": portName} {
		require.NoError(t, os.Mkdir(filepath.Join(class, dir), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(class, dir, "name"), []byte(name+"\n"), 0o644))
	}
	path, err = findPort(class, portName)
	require.NoError(t, err)
	require.Equal(t, "/dev/vport1p2", path)
}

func TestListLivepatches(t *testing.T) {
	root := t.TempDir()
	show := func(path, content string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o644))
	}
	show("old/enabled", "1")
	show("old/transition", "0")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "old/vmlinux/cmdline_proc_show,1"), 0o755))
	show("new/enabled", "0")
	show("new/transition", "1")
	show("new/replace", "1")
	show("new/stack_order", "2")
	show("new/ext4/patched", "1")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "gone"), 0o755))
	yes, two := true, 2
	got, err := listLivepatches(root)
	require.NoError(t, err)
	require.Equal(t, []channel.Livepatch{
		{Name: "new", Transition: true, Replace: &yes, StackOrder: &two, Objects: []channel.LivepatchObject{{Name: "ext4", Patched: &yes, Functions: []string{}}}},
		{Name: "old", Enabled: true, Objects: []channel.LivepatchObject{{Name: "vmlinux", Functions: []string{"cmdline_proc_show,1"}}}},
	}, got)
	got, err = listLivepatches(filepath.Join(root, "none"))
	require.NoError(t, err)
	require.Empty(t, got)
	for _, name := range []string{"", "..", "a/b", "../x"} {
		require.Error(t, setLivepatch(root, channel.SetLivepatch{Name: name}))
	}
}

// As init the agent reaps orphans, leaves its own children's status to their
// Wait, and does not spin meanwhile.
func TestReap(t *testing.T) {
	require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	c := newChildren(new(priority))
	go c.reap()
	var before, after unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	var orphans []string
	for i := range 20 {
		cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("sleep 0.%02d & echo $!; exit %d", i, i))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start(cmd))
		var pid string
		_, err = fmt.Fscan(out, &pid)
		require.NoError(t, err)
		orphans = append(orphans, pid)
		err = c.Wait(cmd)
		if i == 0 {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, fmt.Sprintf("exit status %d", i))
		}
	}
	for _, pid := range orphans {
		require.Eventually(t, func() bool { _, err := os.Stat("/proc/" + pid); return err != nil }, time.Minute, time.Millisecond, "orphan %s was not reaped", pid)
	}
	time.Sleep(200 * time.Millisecond) // in which a loop that spins would show
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	require.Less(t, after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano(), int64(150*time.Millisecond)+int64(20*20*time.Millisecond))
}

func TestCapped(t *testing.T) {
	var c capped
	for range 5 {
		n, err := c.Write(make([]byte, 100<<10))
		require.NoError(t, err)
		require.Equal(t, 100<<10, n)
	}
	require.Len(t, c.b, channel.MaxOutput)
	require.True(t, c.cut)
}
