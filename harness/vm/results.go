// SPDX-License-Identifier: Apache-2.0

package vm

import "strings"

// Results is a second serial port, ttyS1 to the guest, that leads into File:
// what a guest says that must not wait for a reader. QEMU writes it as it
// comes and does not bound it; who runs the machine has to.
type Results struct{ File string }

func (r Results) Cmdline() []string {
	return []string{
		"-chardev", "file,id=results,path=" + strings.ReplaceAll(r.File, ",", ",,"),
		"-device", "isa-serial,id=results,index=1,chardev=results",
	}
}

func (Results) KArgs() []string { return nil }

// FixedClock has the guest's real-time clock begin at a fixed moment and go by
// virtual time, so that no boot knows when it was.
// https://www.qemu.org/docs/master/system/qemu-manpage.html (-rtc)
type FixedClock struct{}

func (FixedClock) Cmdline() []string { return []string{"-rtc", "base=2024-01-01T00:00:00,clock=vm"} }
func (FixedClock) KArgs() []string   { return nil }

// Watchdog ends the machine's run for a moment that the guest chooses: see
// AwaitStandstill. It is an IB700 at its port 0x443, for which every value
// from 15 down stands for two seconds more, from 0.
type Watchdog struct{}

func (Watchdog) Cmdline() []string { return []string{"-device", "ib700"} }
func (Watchdog) KArgs() []string   { return nil }
