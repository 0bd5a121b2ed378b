// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// TestSignalTask signals a process: all signals arrive in their order, and one
// that is gone is told as such.
func TestSignalTask(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	pid := cmd.Process.Pid
	send := func(signals ...syscall.Signal) error {
		_, err := signalTask(t.Context(), channel.SignalTask{PID: pid, TID: pid, Signals: signals})
		return err
	}
	require.NoError(t, send(syscall.SIGSTOP, syscall.SIGCONT))
	require.NoError(t, send(syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGCONT))
	_ = cmd.Wait()
	require.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	require.ErrorIs(t, send(syscall.SIGCONT), syscall.ESRCH)
}
