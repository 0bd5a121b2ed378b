// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Device is one feature of the machine: QEMU arguments and what the guest's
// kernel must be told. Both may be empty; neither depends on anything but
// the value itself, so that equal lists make equal machines.
type Device interface {
	Cmdline() []string
	KArgs() []string
}

// PortName is the virtio-serial port of Machine.Channel: the guest finds it
// as /sys/class/virtio-ports/*/name.
const PortName = "org.switchyard.0"

// backends says where the three character devices lead.
type backends struct{ monitor, serial, channel string }

// inherited are descriptors that QEMU gets from us: 3 the monitor's socket, 4
// and 5 the console's pipes (its input and its output), 6 the channel's
// socket. No path that could clash or stay behind, no race for who listens
// first.
//
// The console has pipes because QEMU writes it byte by byte. A socket charges
// each byte some 800 for its buffer, so that about 200 characters fill it;
// when our reader is late by more than the 10 ms that the kernel's driver
// waits, characters are lost, and with them the sense of a report. A pipe
// packs bytes: consolePipe of them. QEMU opens pipes by name only; the names,
// consoleName.in and .out in dir, are links to the descriptors.
// https://www.qemu.org/docs/master/system/qemu-manpage.html (-chardev)
func inherited(dir string) backends {
	name := filepath.Join(dir, consoleName)
	return backends{
		monitor: "socket,id=monitor,fd=3",
		serial:  "pipe,id=serial,path=" + strings.ReplaceAll(name, ",", ",,"),
		channel: "socket,id=channel,fd=6",
	}
}

const consoleName = "console"

// byHand is for a person at a terminal: the console there, nobody at the
// other two.
var byHand = backends{
	monitor: "null,id=monitor",
	serial:  "stdio,id=serial",
	channel: "null,id=channel",
}

// Chipset is the board, without anything QEMU or the user's configuration
// would add, and without what no guest here uses but every kernel probes:
// AHCI, SMBus, the VMware port, system management mode, the keyboard
// controller (i8042_init: 8-17 ms of CPU under TCG, less than 1 without it),
// and PCI hotplug by ACPI, whose AML the kernel interprets for each slot
// (acpi_init: 150-190 ms, 125 without it). ACPI itself must stay: a guest
// could not power itself off.
// https://www.qemu.org/docs/master/system/i386/pc.html
type Chipset struct{}

func (Chipset) Cmdline() []string {
	return []string{
		"-machine", "q35,smm=off,sata=off,smbus=off,i8042=off,vmport=off,memory-backend=ram",
		"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
		"-nodefaults", "-no-user-config",
		"-display", "none",
		// A guest that resets has crashed: never boot it a second time.
		"-no-reboot",
	}
}

func (Chipset) KArgs() []string {
	return []string{
		// A panic ends the machine at once; see Panic for who hears of it.
		"panic=-1",
	}
}

// Execution is accelerator and CPU model.
type Execution struct {
	Accel Accel
	Major int // of QEMU's version
	// Virtual time: see Config.Shift.
	Virtual bool
	Shift   int
	Log     *ExecutionLog
}

// TakesTurns says whether one vCPU runs at a time: until it idles or is
// interrupted, and for 100 ms at most (TCG_KICK_PERIOD of QEMU).
func (e Execution) TakesTurns() bool {
	// Multi-threaded TCG of 7.2 executes stale int3 bytes after the kernel
	// patched its text: 7 of 14 boots oopsed. On 10: 0 of 8, and one kthread
	// that passed nothing but a patched place.
	return e.Accel != KVM && (e.Major < 10 || e.Virtual)
}

func (e Execution) Cmdline() []string {
	if e.Accel == KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	accel := "tcg"
	if e.TakesTurns() {
		accel = "tcg,thread=single"
	}
	// Kernels clear and copy memory with rep stosb and rep movsb where the
	// CPU is said to do so fast. TCG does it a byte at a time: a boot costs 8 %
	// less when they take the 8-byte way of other CPUs.
	args := []string{"-accel", accel, "-cpu", "max,-erms,-fsrm"}
	if e.Virtual {
		args = append(args, "-icount", fmt.Sprintf("shift=%d,sleep=off", e.Shift)+e.Log.option())
	}
	return args
}

func (Execution) KArgs() []string {
	return []string{
		// On a loaded host the timer check of the IO-APIC can see too few
		// ticks and panic: 5 of 50 boots.
		// https://www.kernel.org/doc/html/latest/admin-guide/kernel-parameters.html
		"no_timer_check",
		// With one CPU a kernel patches every lock prefix out of its text:
		// half of the time it spends on alternatives (280 ms of CPU under
		// TCG, 140 without it). The text is then that of a machine with
		// several CPUs, as everybody's is.
		"noreplace-smp",
	}
}

// Size is the number of virtual CPUs and the memory. The memory has a name,
// by which a snapshot's device state knows it.
type Size struct {
	CPUs, MemMiB int
	RAM          RAM
	Major        int // of QEMU's version
}

func (s Size) Cmdline() []string {
	object := fmt.Sprintf("memory-backend-ram,id=ram,size=%dM", s.MemMiB)
	if s.RAM.File != "" {
		object = fmt.Sprintf("memory-backend-file,id=ram,size=%dM,mem-path=%s", s.MemMiB, strings.ReplaceAll(s.RAM.File, ",", ",,"))
		switch {
		case s.RAM.Shared:
			object += ",share=on"
		case s.Major >= 9: // the file is opened for reading only
			object += ",share=off,readonly=on,rom=off"
		default:
			object += ",share=off"
		}
	}
	return []string{"-smp", strconv.Itoa(s.CPUs), "-m", strconv.Itoa(s.MemMiB), "-object", object}
}

func (Size) KArgs() []string { return nil }

// Monitor is the QMP connection.
type Monitor struct{ Backend string }

func (m Monitor) Cmdline() []string {
	return []string{"-chardev", m.Backend, "-mon", "chardev=monitor,mode=control"}
}

func (Monitor) KArgs() []string { return nil }

// SerialConsole carries the kernel log. The first thing a kernel can write to
// and the last; slow, which is why nothing else goes over it.
type SerialConsole struct{ Backend string }

func (s SerialConsole) Cmdline() []string {
	return []string{"-chardev", s.Backend, "-serial", "chardev:serial"}
}

func (SerialConsole) KArgs() []string { return []string{"console=ttyS0"} }

// ChannelPort is the virtio-serial port between host and agent. Its PCI slot
// is fixed so that extra devices never move it.
type ChannelPort struct{ Backend string }

func (c ChannelPort) Cmdline() []string {
	return []string{
		"-chardev", c.Backend,
		// Port 0 is a console's. With the default of 31 ports the guest's
		// driver sets up 64 queues: 40 ms of a boot under TCG.
		"-device", "virtio-serial-pci,id=ports,addr=0x2,max_ports=2",
		"-device", "virtserialport,bus=ports.0,nr=1,chardev=channel,name=" + PortName,
	}
}

func (ChannelPort) KArgs() []string { return nil }

// Panic tells QEMU of a guest's panic (the GUEST_PANICKED event), once the
// guest has loaded its driver. The ISA device, because its driver is in every
// kernel (pvpanic in 5.10, pvpanic-mmio from 5.13); that of pvpanic-pci came
// with 5.13. The guest runs on after the event, to print the rest of its
// report, and restarts itself (panic=-1), which ends QEMU; for those that
// hang on the way there is panicGrace.
// https://www.qemu.org/docs/master/specs/pvpanic.html
type Panic struct{}

func (Panic) Cmdline() []string { return []string{"-device", "pvpanic", "-action", "panic=none"} }
func (Panic) KArgs() []string   { return nil }

// GenerationID tells the guest's kernel when its memory was copied: QEMU draws
// a new id at each start, writes it into the guest as it restores a snapshot,
// and raises an ACPI event. The kernel's driver (drivers/virt/vmgenid.c, 5.18)
// reseeds its random generator with it, and has those of user space follow. It
// does so from a work queue: who reads at once needs the agent's reseeding.
// https://www.qemu.org/docs/master/specs/vmgenid.html
type GenerationID struct{}

func (GenerationID) Cmdline() []string { return []string{"-device", "vmgenid,guid=auto"} }
func (GenerationID) KArgs() []string   { return nil }

// Kernel is what boots.
type Kernel struct{ Image, Initrd string }

func (k Kernel) Cmdline() []string {
	args := []string{"-kernel", k.Image}
	if k.Initrd != "" {
		args = append(args, "-initrd", k.Initrd)
	}
	return args
}

func (Kernel) KArgs() []string {
	return []string{
		// Self-tests of ciphers nobody here uses: with the next, a fifth of
		// a boot under TCG.
		"cryptomgr.notests",
		// The jitter entropy source tests itself for 80-140 ms of CPU under
		// TCG (6.12), a key derivation of the keyrings for 60 (6.1); only a
		// kernel in FIPS mode needs them.
		"initcall_blacklist=jent_mod_init,crypto_kdf108_init",
	}
}

// Incoming has the machine wait for a snapshot's device state, see Ready; with
// Commands it need not wait: it reads the file Commands.in as if typed at its
// monitor, and answers into Commands.out. That the memory lies elsewhere, no
// argument can say. QEMU's pipe takes plain files; its file reads none (7.2).
type Incoming struct{ Commands string }

func (i Incoming) Cmdline() []string {
	args := []string{"-incoming", "defer"}
	if i.Commands != "" {
		args = append(args, "-chardev", "pipe,id=fork,path="+strings.ReplaceAll(i.Commands, ",", ",,"), "-mon", "chardev=fork")
	}
	return args
}

// commands load s, by hand.
func (s *Snapshot) commands(q QEMU) string {
	text := ""
	if s.Mapped {
		text = "migrate_set_capability x-ignore-shared on\n"
	}
	text += fmt.Sprintf("migrate_incoming %q\n", streamIn(q, filepath.Join(s.Dir, stateFile)))
	if s.Paused {
		text += "cont\n"
	}
	return text
}

// commandsFile and answersFile are in the folder of a fork, see Incoming.
const (
	byHandFiles  = "fork"
	commandsFile = byHandFiles + ".in"
	answersFile  = byHandFiles + ".out"
)

func (Incoming) KArgs() []string { return nil }

// Seed fixes the random numbers that QEMU gives to the guest.
type Seed uint64

func (s Seed) Cmdline() []string { return []string{"-seed", strconv.FormatUint(uint64(s), 10)} }
func (Seed) KArgs() []string     { return nil }

// Blob is a file that the guest finds by Name below
// /sys/firmware/qemu_fw_cfg/by_name; names begin with "opt/".
// https://www.qemu.org/docs/master/specs/fw_cfg.html
type Blob struct{ Name, File string }

func (b Blob) Cmdline() []string {
	return []string{"-fw_cfg", "name=" + b.Name + ",file=" + strings.ReplaceAll(b.File, ",", ",,")}
}

func (Blob) KArgs() []string { return nil }

// Debugger lets gdb attach: `target remote ADDRESS`. With Paused the guest
// waits for it at its first instruction.
type Debugger struct {
	Address string // "tcp:127.0.0.1:1234" or "unix:PATH,server=on,wait=off"
	Paused  bool
}

func (d Debugger) Cmdline() []string {
	args := []string{"-gdb", d.Address}
	if d.Paused {
		args = append(args, "-S")
	}
	return args
}

func (Debugger) KArgs() []string { return nil }

// devices is the standard machine. The order is part of a snapshot's
// identity: new ones go to the end.
func (c Config) devices(b backends) []Device {
	list := append(c.hardware(b), c.software(b)...)
	return append(list, c.Extra...)
}

// hardware is what must be the same in a snapshot and its forks.
func (c Config) hardware(b backends) []Device {
	execution := Execution{Accel: c.Accel, Major: c.QEMU.Major(), Log: c.Log}
	if c.Shift != nil {
		execution.Virtual, execution.Shift = true, *c.Shift
	}
	list := []Device{
		Chipset{},
		execution,
		Size{CPUs: c.CPUs, MemMiB: c.MemMiB, RAM: c.RAM, Major: c.QEMU.Major()},
		Monitor{Backend: b.monitor},
		SerialConsole{Backend: b.serial},
	}
	if !c.NoChannel {
		list = append(list, ChannelPort{Backend: b.channel})
	}
	list = append(list, Panic{})
	if c.Generation {
		list = append(list, GenerationID{})
	}
	return list
}

// software is what a machine starts from.
func (c Config) software(b backends) []Device {
	if c.incoming != nil {
		if b == byHand {
			return []Device{Incoming{Commands: filepath.Join(c.Dir, byHandFiles)}}
		}
		return []Device{Incoming{}}
	}
	return []Device{Kernel{Image: c.Kernel, Initrd: c.Initrd}}
}

func (c Config) String() string {
	return fmt.Sprintf("%s on %s, QEMU %s (%s), %d CPU, %d MiB", c.Kernel, c.Accel, c.QEMU.Version, c.QEMU.Origin, c.CPUs, c.MemMiB)
}
