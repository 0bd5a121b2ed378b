// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
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

	"github.com/switchyard-project/switchyard/kernels/store"
)

// TestNothingStays ends `switchyard run` at several moments, by Ctrl-C and by
// SIGKILL: no process of it stays, no mount, no temporary folder.
func TestNothingStays(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		at     string // the step it is ended in
		status int
	}{
		{syscall.SIGINT, "fetch the kernel", 130},
		{syscall.SIGINT, "boot", 130},
		{syscall.SIGINT, "apply", 130},
		{syscall.SIGKILL, "build the module", -1},
		{syscall.SIGKILL, "boot", -1},
		{syscall.SIGKILL, "apply", -1},
	} {
		t.Run(fmt.Sprintf("%v in %s", c.signal, c.at), func(t *testing.T) {
			mark := fmt.Sprintf("SWITCHYARD_TEST_MARK=%s-%d", t.Name(), os.Getpid())
			// A patch that was never built, so that there is a build to end.
			dir := filepath.Join(t.TempDir(), "cmdline")
			source, err := os.ReadFile("../../cases/testdata/cmdline/cmdline.c")
			require.NoError(t, err)
			require.NoError(t, os.Mkdir(dir, 0o755))
			source = append(source, fmt.Sprintf("/* %s %d */\n", mark, time.Now().UnixNano())...)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "cmdline.c"), source, 0o644))

			cmd := exec.Command("switchyard", "run", dir, "-kernel", "6.1")
			cmd.Env = append(os.Environ(), mark)
			stderr, err := cmd.StderrPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(stderr)
			seen := false
			for !seen && lines.Scan() {
				seen = strings.HasSuffix(lines.Text(), ": "+c.at)
			}
			require.True(t, seen, "the run never came to the step")
			require.NoError(t, cmd.Process.Signal(c.signal))
			for lines.Scan() { // until it is gone, or its pipe fills
			}
			_ = cmd.Wait()
			require.Equal(t, c.status, cmd.ProcessState.ExitCode())

			require.Eventually(t, func() bool { return len(marked(t, mark)) == 0 }, 20*time.Second, 20*time.Millisecond,
				"processes stay")
			require.Eventually(t, func() bool { return len(scratch(t, cmd.Process.Pid)) == 0 }, 20*time.Second, 20*time.Millisecond,
				"temporary folders stay")
			mounts, err := os.ReadFile("/proc/mounts")
			require.NoError(t, err)
			require.NotContains(t, string(mounts), "switchyard")
		})
	}
}

// marked are the processes that inherited mark in their environment.
func marked(t *testing.T, mark string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	for _, path := range all {
		env, err := os.ReadFile(path)
		if err == nil && bytes.Contains(env, []byte(mark)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// scratch are the temporary folders of a process.
func scratch(t *testing.T, pid int) []string {
	t.Helper()
	cache, err := store.DefaultDir()
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(cache, "tmp", fmt.Sprintf("*-%d-*", pid)))
	require.NoError(t, err)
	return found
}
