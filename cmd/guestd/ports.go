// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The ports of two devices that the agent speaks to itself. The kernel's
// driver of fw_cfg gives a file by pages, and reads for each all that lies
// before it: some 10 s for a plan with modules. That of the watchdog is in few
// kernels.
const (
	// https://www.qemu.org/docs/master/specs/fw_cfg.html
	configSelect = 0x510
	configData   = 0x511
	configFiles  = 0x19 // the selector of the list of files
	// QEMU's hw/watchdog/wdt_ib700.c: the time is 2 s less for each step.
	watchdogPort = 0x443
	watchdogSoon = 14 // 2 s
)

func outByte(port uint16, value byte)

func outWord(port, value uint16)

//go:noescape
func inBytes(port uint16, to *byte, n int)

// withPorts runs f in a thread that may use these ports.
func withPorts(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, p := range []struct{ from, n uintptr }{{configSelect, 2}, {watchdogPort, 1}} {
		if _, _, errno := unix.Syscall(unix.SYS_IOPERM, p.from, p.n, 1); errno != 0 {
			return fmt.Errorf("use I/O port %#x: %w", p.from, errno)
		}
		defer func() { _, _, _ = unix.Syscall(unix.SYS_IOPERM, p.from, p.n, 0) }()
	}
	return f()
}

// standStill has QEMU stop the machine two seconds from now, when the CPU
// idles, and comes back in the fork.
func standStill(b *busy) error {
	const margin = 100 * time.Millisecond
	outByte(watchdogPort, watchdogSoon)
	pause(2*time.Second - margin)
	return b.rest(func() { pause(2 * margin) })
}

// readConfig reads from where the last call ended; choose goes to a start.
func readConfig(b []byte) {
	if len(b) > 0 {
		inBytes(configData, &b[0], len(b))
	}
}

func choose(selector uint16) { outWord(configSelect, selector) }

// findConfig gives the selector of the fw_cfg file called name.
func findConfig(name string) (uint16, error) {
	choose(configFiles)
	var count [4]byte
	readConfig(count[:])
	n := binary.BigEndian.Uint32(count[:])
	const most = 1024 // far above what QEMU can have
	for range min(n, most) {
		var entry [64]byte // size, selector, reserved, name
		readConfig(entry[:])
		if text, _, _ := strings.Cut(string(entry[8:]), "\x00"); text == name {
			return binary.BigEndian.Uint16(entry[4:]), nil
		}
	}
	return 0, fmt.Errorf("QEMU has no fw_cfg file %s", name)
}
