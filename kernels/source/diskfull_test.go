// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// A disk that is full in mid-build is said to be one, and what was built stays.
func TestDiskFull(t *testing.T) {
	if os.Getenv("TEST_SMALL_DISK") == "" {
		realRoot(t) // fetched by whoever has the network
		// In a mount namespace of its own, with which the small disk goes,
		// whatever becomes of this process.
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDiskFull$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), "TEST_SMALL_DISK=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || bytes.Contains(out, []byte("--- SKIP")) {
			t.Skipf("no small disk to be had: %v %s", err, out)
		}
		require.NoError(t, err, "%s", out)
		return
	}
	dir := t.TempDir()
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	p, _ := provider(t)
	p.Store, err = store.Open(dir)
	require.NoError(t, err)
	greedy := "bzImage: big\nbig: vmlinux\n\t@head -c 8M /dev/zero > $(O)/big\n"
	spec := Spec{Tree: plant(t, map[string]string{"Makefile": tinyTree["Makefile"] + greedy}), Label: "big"}
	_, err = p.Build(t.Context(), spec)
	require.ErrorIs(t, err, syscall.ENOSPC)
	for _, part := range []string{"kernel 6.6.99+big", "what is done is kept", "SWITCHYARD_CACHE", "switchyard cache prune"} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "\n")
	kept, err := filepath.Glob(dir + "/builds/*/out/fs/namei.o")
	require.NoError(t, err)
	require.Len(t, kept, 1)

	// Room is made, and the build goes on.
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m"))
	before, err := os.Stat(kept[0])
	require.NoError(t, err)
	k, err := p.Build(t.Context(), spec)
	require.NoError(t, err)
	after, err := os.Stat(strings.Join([]string{k.BuildDir, "fs/namei.o"}, "/"))
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime())
}
