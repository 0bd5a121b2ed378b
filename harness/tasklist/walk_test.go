// SPDX-License-Identifier: Apache-2.0

package tasklist

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// toy is a layout that no kernel has.
var toy = Layout{
	initTask: base, faultEntry: 0xffffffff81a00000, runqueues: 0x2c00, perCPUOffset: 0xffffffff82300000,
	tasks: field{8, 8}, threadNode: field{16, 8}, signal: field{24, 8}, pid: field{32, 4}, tgid: field{36, 4}, comm: field{40, 16},
	patchState: field{56, 4}, state: field{60, 4}, flags: field{64, 4}, onCPU: field{68, 4}, cpu: field{72, 4},
	threadHead: field{8, 8}, idle: field{16, 8},
}

const base = uint64(0xffffffff82000000)

// ram is a guest's memory, by the address of each byte that was set.
type ram map[uint64]byte

func (r ram) set(at uint64, size int, v uint64) {
	for i := range size {
		r[at+uint64(i)] = byte(v >> (8 * i))
	}
}

func (r ram) read(_ context.Context, at uint64, n int) ([]byte, error) {
	out := make([]byte, n)
	for i := range out {
		out[i] = r[at+uint64(i)]
	}
	return out, nil
}

// place is where the n-th task and its signal_struct lie.
func place(n int) uint64 { return base + uint64(n)*0x1000 }

func (r ram) task(n, tgid int, comm string, state int) {
	at := place(n)
	r.set(at+toy.pid.offset, 4, uint64(n))
	r.set(at+toy.tgid.offset, 4, uint64(tgid))
	for i, c := range []byte(comm) {
		r[at+toy.comm.offset+uint64(i)] = c
	}
	r.set(at+toy.patchState.offset, 4, uint64(uint32(int32(state))))
	signal := place(tgid) + 0x800
	r.set(at+toy.signal.offset, 8, signal)
}

// process makes leader and threads a ring with the head in signal_struct.
func (r ram) process(tids ...int) {
	head := place(tids[0]) + 0x800 + toy.threadHead.offset
	for i, tid := range tids {
		next := head
		if i+1 < len(tids) {
			next = place(tids[i+1]) + toy.threadNode.offset
		}
		r.set(place(tid)+toy.threadNode.offset, 8, next)
	}
}

func (r ram) ring(leaders ...int) {
	for i, n := range leaders {
		r.set(place(n)+toy.tasks.offset, 8, place(leaders[(i+1)%len(leaders)])+toy.tasks.offset)
	}
}

// guest is one with three processes, one of two threads, and two CPUs.
func guest() (ram, Memory) {
	r := ram{}
	r.task(0, 0, "swapper/0", 1)
	r.task(1, 1, "init", 1)
	r.task(2, 2, "cat", 0)
	r.task(3, 2, "cat-thread", 0)
	r.task(4, 4, "kthread", -1)
	r.process(1)
	r.process(2, 3)
	r.process(4)
	r.ring(0, 1, 2, 4)
	r.task(9, 9, "swapper/1", 0)
	r.set(place(9)+toy.pid.offset, 4, 0)
	const area = 0xffff88801f000000
	r.set(toy.perCPUOffset+8, 8, area)
	r.set(area+toy.runqueues+toy.idle.offset, 8, place(9))
	return r, Memory{Read: r.read, CPUs: 2}
}

func names(tasks []Task) (all []string) {
	for _, t := range tasks {
		all = append(all, fmt.Sprintf("%s/%d %d", t.Comm, t.TID, t.PatchState))
	}
	return all
}

func TestReadsAllThreadsAndIdleTasks(t *testing.T) {
	_, m := guest()
	tasks, err := toy.Read(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, []string{"swapper/0/0 1", "init/1 1", "cat/2 0", "cat-thread/3 0", "kthread/4 -1", "swapper/1/0 0"}, names(tasks))
	require.True(t, tasks[0].Idle)
	require.True(t, tasks[5].Idle)
	require.Equal(t, 2, tasks[3].PID)
}

// TestBrokenListsEnd: whatever is in memory, the walk ends, says why, and keeps
// what it had.
func TestBrokenListsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt func(ram)
		keeps   int
		says    string
	}{
		"a loop without the begin": {func(r ram) { r.ring(0, 1, 2); r.set(place(2)+toy.tasks.offset, 8, place(1)+toy.tasks.offset) }, 4, "comes back to"},
		"threads in a loop":        {func(r ram) { r.set(place(3)+toy.threadNode.offset, 8, place(3)+toy.threadNode.offset) }, 4, "comes back to"},
		"zeroes":                   {func(r ram) { r.set(place(2)+toy.tasks.offset, 8, 0) }, 4, "cannot be a task"},
		"a program's address":      {func(r ram) { r.set(place(1)+toy.tasks.offset, 8, 0x400000) }, 2, "cannot be a task"},
		"no task":                  {func(r ram) { r.set(place(2)+toy.patchState.offset, 4, 77) }, 2, "is no task"},
		"another kernel":           {func(r ram) { r.set(place(0)+toy.comm.offset, 8, 0) }, 0, "not where its image says"},
	} {
		t.Run(name, func(t *testing.T) {
			r, m := guest()
			m.CPUs = 1
			c.breakIt(r)
			tasks, err := toy.Read(t.Context(), m)
			require.ErrorContains(t, err, c.says)
			require.Len(t, tasks, c.keeps)
		})
	}
}

// TestEndlessListIsCut: a list of ever new tasks ends at the bound.
func TestEndlessListIsCut(t *testing.T) {
	l := toy
	read := func(_ context.Context, at uint64, n int) ([]byte, error) {
		b := make([]byte, n)
		if n > 60 {
			copy(b[l.comm.offset:], "swapper")
			binary.LittleEndian.PutUint64(b[l.tasks.offset:], at+0x1000+l.tasks.offset)
			binary.LittleEndian.PutUint64(b[l.signal.offset:], at+l.threadNode.offset)
			l.threadHead = field{0, 8}
			binary.LittleEndian.PutUint64(b[l.threadNode.offset:], at+l.threadNode.offset)
		}
		return b, nil
	}
	tasks, err := l.Read(t.Context(), Memory{Read: read, CPUs: 1})
	require.ErrorContains(t, err, "has no end")
	require.Len(t, tasks, MaxTasks)

	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the time is over")
	cancel(why)
	tasks, err = l.Read(ctx, Memory{Read: read, CPUs: 1})
	require.ErrorIs(t, err, why)
	require.Len(t, tasks, 1)
}

// TestSlide: where KASLR put the kernel, by the gate of the page fault.
func TestSlide(t *testing.T) {
	registers := func(r ram, entry uint64) string {
		const idt = 0xfffffe0000000000
		r.set(idt+faultGate, 2, entry)
		r.set(idt+faultGate+6, 2, entry>>16)
		r.set(idt+faultGate+8, 4, entry>>32)
		return "GDT=     fffffe0000001000 0000007f\r\nIDT=     fffffe0000000000 00000fff\r\nCR0=80050033"
	}
	w := func(entry uint64) (uint64, error) {
		r := ram{}
		return (&walk{layout: &toy, Memory: Memory{Read: r.read, Registers: registers(r, entry)}, ctx: t.Context()}).findSlide()
	}
	for _, want := range []uint64{0, 0x2000000, 0x1fe00000} {
		got, err := w(toy.faultEntry + want)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, wrong := range []uint64{0x1000, 1 << 30, ^uint64(0x1fffff) + 1 - 0x200000} {
		_, err := w(toy.faultEntry + wrong)
		require.ErrorContains(t, err, "no place that KASLR", "%#x", wrong)
	}
	got, err := (&walk{layout: &toy}).findSlide()
	require.NoError(t, err)
	require.Zero(t, got, "without registers the kernel is at its place")
}

// FuzzWalk: memory of any content ends the walk.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, uint16(40))
	f.Fuzz(func(t *testing.T, content []byte, at uint16) {
		r, m := guest()
		for i, b := range content {
			r[base+uint64(at)+uint64(i)] = b
		}
		tasks, err := toy.Read(t.Context(), m)
		if err == nil {
			require.NotEmpty(t, tasks)
		}
		require.LessOrEqual(t, len(tasks), MaxTasks)
	})
}
