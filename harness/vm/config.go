// SPDX-License-Identifier: Apache-2.0

// Package vm runs one QEMU: its command line, its monitor and consoles, its
// life and the many ways it can die.
//
// A machine is a list of devices, each a tiny type that knows its QEMU
// arguments, its kernel arguments, and why they are there. A Machine is
// watched in one place, which alone says how it ended.
//
// What must not live here: anything about patches, agents or what is said on
// the channel.
package vm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
	"github.com/hashicorp/go-multierror"
)

// QEMU is a qemu-system-x86_64 and how to start it.
type QEMU struct {
	// Argv starts it: the program, or a dynamic loader with its arguments
	// and the program; options may follow.
	Argv []string
	// DataDir holds firmware and option ROMs; "" for the program's own. It
	// is passed on with -L, unless Argv names it already.
	DataDir string
	// Version is as QEMU says it: "7.2.22".
	Version string
	// Origin is where it came from, for people: "host", "tool root".
	Origin string
}

// Major is the first number of the version; 0 if there is none.
func (q QEMU) Major() int {
	first, _, _ := strings.Cut(q.Version, ".")
	n, _ := strconv.Atoi(first)
	return n
}

// Accel is what executes the guest's instructions.
type Accel string

// The accelerators. "auto" is not one: see ChooseAccel.
const (
	KVM Accel = "kvm"
	TCG Accel = "tcg"
)

// What a zero in Config means.
const (
	DefaultCPUs   = 1
	DefaultMemMiB = 512
	// DefaultSilence is far above anything a living guest was seen to need
	// between two lines or two heartbeats, also under TCG on a loaded host.
	DefaultSilence = 60 * time.Second
)

// MostShift is the slowest that a virtual CPU goes: see Config.Shift.
const MostShift = 10

// Config is one machine to start.
type Config struct {
	QEMU         QEMU
	Accel        Accel
	CPUs, MemMiB int // 0: DefaultCPUs, DefaultMemMiB
	// Kernel is an uncompressed vmlinux with a PVH note (cheapest) or a
	// bzImage (the only way to have KASLR). Initrd may be "".
	Kernel, Initrd string
	// Append are kernel arguments behind those of the devices.
	Append []string
	// Dir is an existing folder for what the machine leaves behind, written
	// as it happens: serial.log, qmp.jsonl, qemu.log and cmdline.txt, a shell
	// line that starts the same machine by hand.
	Dir string
	// Silence is how long there may be neither a byte on the serial console
	// nor a Touch; 0 means DefaultSilence, below 0 no limit.
	Silence time.Duration
	// Deadline is when the machine is ended in any case; zero for never.
	Deadline time.Time
	// Extra devices come after the standard ones. A fork may have others than
	// its snapshot if they are of those that QEMU itself holds (Blob, Seed,
	// Debugger); the guest's must be the same.
	Extra []Device

	// RAM is where the guest's memory lies.
	RAM RAM
	// Shift, if set, has virtual time go by instructions: each takes 2^Shift
	// ns, waiting takes none of the host's. TCG only. With one vCPU, no
	// channel and a Seed, what the guest does depends on its input alone.
	// https://www.qemu.org/docs/master/devel/tcg-icount.html
	Shift *int
	// Log has QEMU keep, or play, a log of all that reaches the guest from
	// outside of its own instructions. It needs Shift and one vCPU.
	Log *ExecutionLog
	// NoChannel leaves the virtio-serial port away, and its interrupts, which
	// come when the host is ready.
	NoChannel bool
	// Generation gives the machine an id that is another one in each fork: see
	// GenerationID. For kernels that can (kernels.VMGenID), and no machine that
	// is to repeat.
	Generation bool
	// Heard is told of each of QEMU's events, in their order, before Done is
	// closed; it must not wait for anything. It may be nil.
	Heard func(qmp.Event) `json:"-"`
	// Inspect may look at a machine that fell silent or came to its Deadline,
	// while it is still there and before anything is done to it; registers are
	// those of its CPUs as QEMU prints them. Its ctx ends after InspectFor. It
	// may be nil.
	Inspect func(ctx context.Context, m *Machine, registers string) `json:"-"`

	incoming *Snapshot // see Ready
}

// RAM is where a guest's memory lies: the zero value is memory of QEMU's own.
type RAM struct {
	File string // of the size of the memory
	// Shared: what the guest writes goes to the file. Otherwise the file stays
	// as it is and what the guest writes is its own.
	Shared bool
}

// withDefaults fills in the zeros, and says what cannot be.
func (c Config) withDefaults() (Config, error) {
	var errs *multierror.Error
	bad := func(format string, args ...any) {
		errs = multierror.Append(errs, fmt.Errorf(format, args...))
	}
	if c.CPUs == 0 {
		c.CPUs = DefaultCPUs
	}
	if c.MemMiB == 0 {
		c.MemMiB = DefaultMemMiB
	}
	if c.Silence == 0 {
		c.Silence = DefaultSilence
	}
	if len(c.QEMU.Argv) == 0 {
		bad("no QEMU program given")
	}
	if c.QEMU.Major() == 0 {
		bad("QEMU version %q is not a version", c.QEMU.Version)
	}
	if c.Accel != KVM && c.Accel != TCG {
		bad("accelerator %q is neither kvm nor tcg", c.Accel)
	}
	if c.CPUs < 1 || c.CPUs > 255 {
		bad("%d virtual CPUs: must be 1 to 255", c.CPUs)
	}
	if c.MemMiB < 1 {
		bad("%d MiB of memory: must be at least 1", c.MemMiB)
	}
	if c.Kernel == "" && c.incoming == nil {
		bad("no kernel given")
	}
	if c.Shift != nil && (c.Accel != TCG || *c.Shift < 0 || *c.Shift > MostShift) {
		bad("virtual time by instructions needs accelerator tcg and a shift from 0 to 10, not %s and %d", c.Accel, *c.Shift)
	}
	if c.Log != nil && (c.Shift == nil || c.CPUs != 1) {
		bad("an execution log needs virtual time by instructions and one virtual CPU, not %d", c.CPUs)
	}
	for _, arg := range c.Append {
		if strings.ContainsAny(arg, "\n\x00") {
			bad("kernel argument %q holds a line break or a zero byte", arg)
		}
	}
	return c, errs.ErrorOrNil()
}

// prepare is withDefaults for a machine that is going to run.
func (c Config) prepare() (Config, error) {
	c, err := c.withDefaults()
	if err != nil {
		return c, fmt.Errorf("machine: %w", err)
	}
	if c.Dir == "" {
		return c, errors.New("machine: no folder for its logs given")
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, fmt.Errorf("machine: %w", err)
	}
	return c, nil
}
