// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// meter runs command and writes the CPU seconds (user and system) of it and
// of everything that it started, and its wall seconds, into output.
//
// It must be the first process of a PID namespace. Only so is the sum whole:
// a daemon that the command leaves behind (virtme-ng starts virtiofsd that
// way) becomes a child of this process, which waits for it. And only so does
// nothing outlive it.
func meter(output string, command []string) error {
	if os.Getpid() != 1 {
		return errors.New("meter is not the first process of a PID namespace: start it by unshare --pid --fork")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	// All that is left, this process excepted: PID 1 takes no signal from its
	// own namespace.
	if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end what %s left behind: %w", command[0], err)
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &used); err != nil {
		return fmt.Errorf("CPU time of %s: %w", command[0], err)
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	return os.WriteFile(output, fmt.Appendf(nil, "%.4f %.4f\n", cpu.Seconds(), wall.Seconds()), 0o644)
}
