// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/digitalocean/go-qemu/qmp/raw"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// TestRawClient runs go-qemu's generated client on a Monitor of a real QEMU.
func TestRawClient(t *testing.T) {
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("no QEMU on this host:", err)
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	conn, err := net.FileConn(ours)
	require.NoError(t, err)
	ours.Close()
	cmd, err := guard.Command(t.Context(), []*os.File{theirs}, path,
		"-machine", "none", "-nodefaults", "-no-user-config", "-display", "none",
		"-chardev", "socket,id=m,fd=3", "-mon", "chardev=m,mode=control")
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	theirs.Close()
	m := New(conn)
	require.NoError(t, m.Connect())

	client := raw.NewMonitor(m)
	version, err := client.QueryVersion()
	require.NoError(t, err)
	require.Positive(t, version.Qemu.Major)
	commands, err := client.QueryCommands()
	require.NoError(t, err)
	require.NotEmpty(t, commands)
	schema, err := m.Run([]byte(`{"execute": "query-qmp-schema"}`)) // over go-qemu's 64 KiB
	require.NoError(t, err)
	require.Greater(t, len(schema), 64<<10)

	events, err := m.Events(t.Context())
	require.NoError(t, err)
	require.NoError(t, client.Quit())
	require.NoError(t, cmd.Wait())
	var last string
	for e := range events {
		last = e.Event
	}
	require.Equal(t, "SHUTDOWN", last)
}
