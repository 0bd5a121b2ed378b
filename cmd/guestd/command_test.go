// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// TestRunCommand: a command's output and status come back, those of the children
// that it leaves behind as well; who gives it up is let go, also by a child that is
// in no group of ours any more.
func TestRunCommand(t *testing.T) {
	a := &agent{children: newChildren(new(priority)), loopback: func() error { return nil }}
	run := func(ctx context.Context, script string) (channel.CommandResult, error) {
		return a.runCommand(ctx, channel.RunCommand{Argv: []string{"sh", "-c", script}})
	}
	r, err := run(t.Context(), "(sleep 0.1; echo late; echo later >&2) & echo soon; exit 3")
	require.NoError(t, err)
	require.Equal(t, channel.CommandResult{Status: 3, Stdout: []byte("soon\nlate\n"), Stderr: []byte("later\n")}, r)
	_, err = a.runCommand(t.Context(), channel.RunCommand{Argv: []string{"/no/such/program"}})
	require.ErrorIs(t, err, os.ErrNotExist)

	file := t.TempDir() + "/pid"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan channel.CommandResult, 1)
	go func() {
		r, _ := run(ctx, "echo here; setsid sh -c 'echo $$ >"+file+".new && mv "+file+".new "+file+" && exec sleep 1000' & wait")
		ended <- r
	}()
	var pid int
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	}, time.Minute, time.Millisecond)
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	cancel()
	select {
	case r := <-ended:
		require.Equal(t, int(syscall.SIGKILL), r.Signal)
		require.Equal(t, "here\n", string(r.Stdout))
	case <-time.After(time.Minute):
		t.Fatal("it is waited for")
	}
}
