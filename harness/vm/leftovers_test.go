// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// orphanRole is a process that takes a token, starts a machine, says so, and
// waits to be killed.
const orphanRole = "vm-test-orphan"

func init() { guard.Register(orphanRole, orphanMain) }

type orphan struct {
	Config Config
	Tokens string
}

func orphanMain(args []string) int {
	var o orphan
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := Token(context.Background(), o.Tokens, 1); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	m, err := Start(context.Background(), o.Config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(m.Pid())
	select {}
}

// TestNothingOutlives kills a process with a machine in mid-boot, by SIGKILL:
// its QEMU goes, and its token is free.
func TestNothingOutlives(t *testing.T) {
	kit := testKit(t, "6.1")
	tokens := t.TempDir()
	o, err := json.Marshal(orphan{
		Config: Config{
			QEMU: testQEMU(t), Accel: TCG, Kernel: kit.VMLinux, Initrd: guestImage(t, kit),
			Append: []string{"guest=hang"}, Dir: t.TempDir(),
		},
		Tokens: tokens,
	})
	require.NoError(t, err)
	self, err := guard.Self()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, guard.RoleArgs(orphanRole, string(o))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pid int
	_, err = fmt.Fscan(out, &pid)
	require.NoError(t, err)
	require.True(t, alive(pid))
	exe, err := os.Readlink(filepath.Join("/proc", fmt.Sprint(pid), "exe"))
	require.NoError(t, err)
	require.Contains(t, exe, "qemu")

	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	_, _ = io.Copy(io.Discard, out)
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return !alive(pid) }, 30*time.Second, 10*time.Millisecond, "QEMU %d lives on", pid)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	release, err := Token(ctx, tokens, 1)
	require.NoError(t, err)
	release()
}
