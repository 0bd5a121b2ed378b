// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/load"
)

// TestBusy: the program jumps back to its start, and uses the CPU for ever
// without ending.
func TestBusy(t *testing.T) {
	code := busyCode()
	at := len(code) - 4
	require.EqualValues(t, 0xe9, code[at-1])
	require.Zero(t, len(code)+int(int32(binary.LittleEndian.Uint32(code[at:]))), "where it jumps to")

	program := filepath.Join(t.TempDir(), "busy")
	require.NoError(t, os.WriteFile(program, load.TinyELF(code), 0o700))
	cmd := exec.Command(program)
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	require.Eventually(t, func() bool {
		var used unix.Timespec
		// The CPU clock of another process: ~pid << 3 | CPUCLOCK_SCHED.
		err := unix.ClockGettime(int32(^cmd.Process.Pid<<3|2), &used)
		return err == nil && used.Nano() > 5e6
	}, 20*time.Second, 5*time.Millisecond)
	select {
	case err := <-ended:
		ended <- err
		t.Fatalf("it ended: %v", err)
	default:
	}
}
