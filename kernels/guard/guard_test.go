// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary plays a program that has started children and made folders,
// and then waits to be killed.
func init() {
	Register("test-victim", func(args []string) int {
		dir, _, err := Scratch(args[0], "victim")
		if err != nil {
			return 1
		}
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o444); err != nil {
			return 1
		}
		// A grandchild is not left either.
		c, err := Command(context.Background(), nil, "sh", "-c", "sleep 1000 & exec sleep 1000")
		if err != nil {
			return 1
		}
		if err := c.Start(); err != nil {
			return 1
		}
		fmt.Println(c.Pid())
		select {}
	})
}

// TestSIGKILL: what a killed program had started and made goes with it.
func TestSIGKILL(t *testing.T) {
	parent := t.TempDir()
	self, err := Self()
	require.NoError(t, err)
	cmd := exec.Command(self, RoleArgs("test-victim", parent)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 32)
	n, err := out.Read(line)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(group(pid)) == 2 }, 10*time.Second, 5*time.Millisecond, "the shell and its child")
	made, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, made, 1)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return len(group(pid)) == 0 }, 10*time.Second, 5*time.Millisecond, "children stay")
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(parent)
		return err == nil && len(left) == 0
	}, 10*time.Second, 5*time.Millisecond, "the folder stays")
}

// group are the processes of a process group that have not ended.
func group(pgid int) []int {
	return processes(func(stat []string) bool { return stat[2] == strconv.Itoa(pgid) && stat[0] != "Z" })
}

// TestCommand: output, status and files pass through the wrapper; the end of
// the context ends the child.
func TestCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	r, w, err := os.Pipe()
	require.NoError(t, err)
	c, err := Command(ctx, []*os.File{w}, "sh", "-c", "echo out; echo three >&3; exit 7")
	require.NoError(t, err)
	c.Stdout = &out
	require.NoError(t, c.Start())
	w.Close()
	three := make([]byte, 16)
	n, err := r.Read(three)
	require.NoError(t, err)
	require.Equal(t, "three\n", string(three[:n]))
	var exit *exec.ExitError
	require.ErrorAs(t, c.Wait(), &exit)
	require.Equal(t, 7, exit.ExitCode())
	require.Equal(t, "out\n", out.String())

	c, err = Command(ctx, nil, "sleep", "1000")
	require.NoError(t, err)
	require.NoError(t, c.Start())
	pid := c.Pid()
	cancel()
	require.Error(t, c.Wait())
	require.Empty(t, group(pid))

	c, err = Command(t.Context(), nil, "/does/not/exist")
	require.NoError(t, err)
	require.ErrorAs(t, c.Run(), &exit)
	require.Equal(t, 127, exit.ExitCode())
}

// TestWaitIsForAll: whoever the child leaves behind is ended and gone when Wait
// returns, in the child's group or out of it, whether it was killed or ended.
func TestWaitIsForAll(t *testing.T) {
	for _, then := range []string{"exec sleep 1000", "exit"} {
		for _, leave := range []string{"", "setsid "} {
			ctx, cancel := context.WithCancel(t.Context())
			c, err := Command(ctx, nil, "sh", "-c", leave+"sleep 1000 >/dev/null & echo $!; "+then)
			require.NoError(t, err)
			out, err := c.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			left, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			if then != "exit" {
				cancel()
			}
			_ = c.Wait()
			cancel()
			require.ErrorIs(t, syscall.Kill(left, 0), syscall.ESRCH, "%s(%s)", leave, then)
		}
	}
}

// TestSignalStatus: a child that a signal ended is told as a shell tells it.
func TestSignalStatus(t *testing.T) {
	c, err := Command(t.Context(), nil, "sh", "-c", "kill -TERM $$")
	require.NoError(t, err)
	var exit *exec.ExitError
	require.ErrorAs(t, c.Run(), &exit)
	require.Equal(t, 128+int(syscall.SIGTERM), exit.ExitCode())
}

// TestScratch: folders of one name do not meet, and go when they are told to,
// also with folders in them that cannot be written.
func TestScratch(t *testing.T) {
	parent := t.TempDir()
	one, removeOne, err := Scratch(parent, "x")
	require.NoError(t, err)
	two, removeTwo, err := Scratch(parent, "x")
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.NoError(t, os.Mkdir(filepath.Join(one, "locked"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(one, "locked", "f"), nil, 0o400))
	require.NoError(t, os.Chmod(filepath.Join(one, "locked"), 0o500))
	removeOne()
	require.NoDirExists(t, one)
	require.DirExists(t, two)
	removeTwo()
	require.NoDirExists(t, two)
}
