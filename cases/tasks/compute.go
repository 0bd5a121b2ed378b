// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/load"
)

// compute runs on one CPU, for good, and never enters the kernel. Go's own
// runtime would, so that the program becomes another one: a jump to itself, by
// way of PAUSE, at which an emulator that runs one CPU at a time takes the next.
func compute(args []string) error {
	if err := wants(args, "CPU"); err != nil {
		return err
	}
	cpu, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	const program = "/run/switchyard-compute"
	if err := os.WriteFile(program, load.TinyELF([]byte{0xf3, 0x90, 0xeb, 0xfc}), 0o700); err != nil {
		return err
	}
	runtime.LockOSThread() // which execve(2) leaves, with its CPU
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("run on CPU %d: %w", cpu, err)
	}
	return fmt.Errorf("become %s: %w", program, syscall.Exec(program, []string{program}, nil))
}
