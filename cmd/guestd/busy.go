// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/load"
)

// busy is a task that runs when no other wants to, so that the CPU never
// idles. Where virtual time goes by instructions, QEMU moves its clock on when
// the CPU idles: from another thread, which may look a moment too early, when
// the CPU's last instructions are not counted yet (icount_start_warp_timer).
// Four of eighteen runs with much idling took another course by that.
//
// It does nothing, in blocks as long as QEMU translates at once: that costs the
// host hardly more than idling.
type busy struct{ process *os.Process }

// busyBlock is how many instructions QEMU translates at once, at most
// (TCG_MAX_INSNS), less the jump.
const busyBlock = 511

// busyCode is the program: nops and a jump back over them.
func busyCode() []byte {
	code := bytes.Repeat([]byte{0x90}, busyBlock) // nop
	back := int32(-(busyBlock + 5))
	return append(code, 0xe9, byte(back), byte(back>>8), byte(back>>16), byte(back>>24)) // jmp rel32
}

func (a *agent) startBusy() (*busy, error) {
	const program = "/run/switchyard-busy"
	if err := os.WriteFile(program, load.TinyELF(busyCode()), 0o700); err != nil {
		return nil, fmt.Errorf("keep the CPU busy: %w", err)
	}
	cmd := &exec.Cmd{Path: program, Args: []string{program}, Env: []string{}}
	if err := a.children.Start(cmd); err != nil {
		return nil, fmt.Errorf("keep the CPU busy: %w", err)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(cmd.Process.Pid, &attr, 0); err != nil {
		return nil, fmt.Errorf("keep the CPU busy: %w", err)
	}
	return &busy{cmd.Process}, nil
}

// rest lets the CPU idle while f runs.
func (b *busy) rest(f func()) error {
	if err := b.process.Signal(unix.SIGSTOP); err != nil {
		return fmt.Errorf("let the CPU idle: %w", err)
	}
	f()
	return b.process.Signal(unix.SIGCONT)
}
