// SPDX-License-Identifier: Apache-2.0

package tasklist

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// MaxTasks bounds a walk: a list that was written over may have no end.
const MaxTasks = 32768

// Task is one thread as the guest's memory has it.
type Task struct {
	PID  int // of the process (tgid)
	TID  int
	Comm string
	// PatchState is -1 while no transition runs, 0 for the original code, 1 for
	// the patched one.
	PatchState int
	State      uint32 // of the scheduler: 0 runs or may, 1 interruptible, 2 uninterruptible, …
	Flags      uint32 // PF_…
	OnCPU      bool   // runs at this moment
	CPU        int    // where it runs or ran last; -1 if this kernel does not tell
	Idle       bool   // swapper/N
}

// Memory is a guest's. Read gives n bytes from a kernel's virtual address on.
type Memory struct {
	Read func(ctx context.Context, address uint64, n int) ([]byte, error)
	// Registers are those of its CPUs as QEMU's "info registers" prints them;
	// they tell where KASLR put the kernel. "" for a kernel at its place.
	Registers string
	CPUs      int
}

// Read walks over the tasks. It stops at MaxTasks, at the end of ctx and where
// memory cannot be a task; what it had until then comes with the error that
// says why.
func (l *Layout) Read(ctx context.Context, m Memory) ([]Task, error) {
	w := &walk{layout: l, Memory: m, ctx: ctx, seen: map[uint64]bool{}}
	var err error
	if w.slide, err = w.findSlide(); err != nil {
		return nil, err
	}
	init := l.initTask + w.slide
	first, raw, err := w.task(init)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(first.Comm, "swapper") {
		return nil, errNotThere
	}
	first.Idle = true
	w.tasks = append(w.tasks, first)
	err = w.processes(init, raw)
	return w.tasks, errors.Join(err, w.idles(init))
}

type walk struct {
	Memory
	layout *Layout
	ctx    context.Context
	slide  uint64
	seen   map[uint64]bool
	tasks  []Task
}

// processes goes round the list of thread group leaders that begins at init.
func (w *walk) processes(init uint64, raw []byte) error {
	offset := w.layout.tasks.offset
	for next := number(raw, w.layout.tasks); next != init+offset; {
		t, raw, err := w.visit(next, offset)
		if err != nil {
			return err
		}
		w.tasks = append(w.tasks, t)
		if err := w.threads(next-offset, raw); err != nil {
			return err
		}
		next = number(raw, w.layout.tasks)
	}
	return nil
}

// threads goes round the threads of a process besides its leader.
func (w *walk) threads(leader uint64, raw []byte) error {
	head := number(raw, w.layout.signal) + w.layout.threadHead.offset
	offset := w.layout.threadNode.offset
	// The list goes leader, others, head; one thread alone needs no more reads.
	for next := number(raw, w.layout.threadNode); next != head; {
		if next == leader+offset { // the head is not where signal says: it has exited meanwhile
			return nil
		}
		t, raw, err := w.visit(next, offset)
		if err != nil {
			return err
		}
		w.tasks = append(w.tasks, t)
		next = number(raw, w.layout.threadNode)
	}
	return nil
}

// idles adds the idle tasks of the CPUs but the first, which the list of
// processes lacks.
func (w *walk) idles(init uint64) error {
	l := w.layout
	if l.runqueues == 0 || l.perCPUOffset == 0 || l.idle.size == 0 {
		return nil
	}
	for cpu := 1; cpu < w.CPUs; cpu++ {
		b, err := w.read(l.perCPUOffset+w.slide+8*uint64(cpu), 8)
		if err != nil {
			return err
		}
		queue := l.runqueues + binary.LittleEndian.Uint64(b)
		if l.runqueues >= 1<<32 { // else the symbol counts from the area's begin (up to 6.14)
			queue += w.slide
		}
		if b, err = w.read(queue+l.idle.offset, 8); err != nil {
			return err
		}
		at := binary.LittleEndian.Uint64(b)
		if at == init {
			continue
		}
		t, _, err := w.visit(at, 0)
		if err != nil {
			return err
		}
		t.Idle = true
		w.tasks = append(w.tasks, t)
	}
	return nil
}

// kernelSpace begins where 64-bit addresses of x86's kernel do.
const kernelSpace = 0xff00_0000_0000_0000

// visit reads the task that has link, at offset in it, and that must not have
// been read before.
func (w *walk) visit(link, offset uint64) (Task, []byte, error) {
	at := link - offset
	switch {
	case link < kernelSpace || link%8 != 0:
		return Task{}, nil, fmt.Errorf("after %d tasks: %#x cannot be a task", len(w.tasks), link)
	case w.ctx.Err() != nil:
		return Task{}, nil, fmt.Errorf("after %d tasks: %w", len(w.tasks), context.Cause(w.ctx))
	case len(w.tasks) >= MaxTasks:
		return Task{}, nil, fmt.Errorf("more than %d tasks: the list has no end", MaxTasks)
	case w.seen[at]:
		return Task{}, nil, fmt.Errorf("the list of tasks comes back to %#x after %d tasks without an end", at, len(w.tasks))
	}
	w.seen[at] = true
	return w.task(at)
}

// task reads one task_struct as far as it is needed.
func (w *walk) task(at uint64) (Task, []byte, error) {
	l := w.layout
	fields := []field{l.tasks, l.threadNode, l.signal, l.pid, l.tgid, l.comm, l.patchState, l.state, l.flags, l.onCPU, l.cpu}
	end := uint64(0)
	for _, f := range fields {
		end = max(end, f.offset+f.size)
	}
	raw, err := w.read(at, int(end))
	if err != nil {
		return Task{}, nil, err
	}
	comm := raw[l.comm.offset : l.comm.offset+l.comm.size]
	if i := bytes.IndexByte(comm, 0); i >= 0 {
		comm = comm[:i]
	}
	t := Task{
		PID: int(int32(number(raw, l.tgid))), TID: int(int32(number(raw, l.pid))), Comm: strings.ToValidUTF8(string(comm), "\ufffd"),
		PatchState: int(int32(number(raw, l.patchState))), State: uint32(number(raw, l.state)), Flags: uint32(number(raw, l.flags)),
		OnCPU: number(raw, l.onCPU) != 0, CPU: -1,
	}
	if l.cpu.size != 0 {
		t.CPU = int(int32(number(raw, l.cpu)))
	}
	if t.PatchState < -1 || t.PatchState > 1 || t.TID < 0 {
		return Task{}, nil, fmt.Errorf("after %d tasks: what lies at %#x is no task (pid %d, patch_state %d)", len(w.tasks), at, t.TID, t.PatchState)
	}
	return t, raw, nil
}

func (w *walk) read(address uint64, n int) ([]byte, error) {
	b, err := w.Read(w.ctx, address, n)
	if err == nil && len(b) != n {
		err = fmt.Errorf("%d bytes came of %d", len(b), n)
	}
	if err != nil {
		return nil, fmt.Errorf("after %d tasks: memory at %#x: %w", len(w.tasks), address, err)
	}
	return b, nil
}

// number is an unsigned member of at most 8 bytes; 0 for one that is not there.
func number(raw []byte, f field) (v uint64) {
	for i := min(f.size, 8); i > 0; i-- {
		v = v<<8 | uint64(raw[f.offset+i-1])
	}
	return v
}

// idt is the base of the interrupt table in "info registers":
//
//	IDT=     fffffe0000000000 00000fff
var idt = regexp.MustCompile(`(?m)^IDT=\s+([0-9a-f]{16}) `)

// faultGate is the gate of a page fault in the interrupt table, each of 16 bytes.
const faultGate = 14 * 16

// findSlide finds what KASLR added to the image's addresses: the gate of the
// page fault names a function that the image names too. A kernel at its place
// needs none.
func (w *walk) findSlide() (uint64, error) {
	m := idt.FindStringSubmatch(w.Registers)
	if m == nil || w.layout.faultEntry == 0 {
		return 0, nil
	}
	base, err := strconv.ParseUint(m[1], 16, 64)
	if err != nil {
		return 0, err
	}
	gate, err := w.read(base+faultGate, 16)
	if err != nil {
		return 0, err
	}
	entry := uint64(binary.LittleEndian.Uint16(gate)) | uint64(binary.LittleEndian.Uint16(gate[6:]))<<16 | uint64(binary.LittleEndian.Uint32(gate[8:]))<<32
	slide := entry - w.layout.faultEntry
	if slide%0x200000 != 0 || slide >= 1<<30 { // what KASLR can do, arch/x86/Kconfig: PHYSICAL_ALIGN, within 1 GiB
		return 0, fmt.Errorf("the page fault's entry is at %#x, which is no place that KASLR would put it", entry)
	}
	return slide, nil
}
