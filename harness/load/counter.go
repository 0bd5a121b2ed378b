// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Counter counts a load's operations and wrong results. It lies in memory
// that the load's process shares with the agent, who reads it without asking
// a process that may be stuck in the kernel.
type Counter struct {
	m      *counterMemory
	mapped []byte
}

// counterMemory is the layout; both sides are the same program.
type counterMemory struct {
	ops, errors atomic.Uint64
	claimed     atomic.Uint32 // somebody writes the text
	length      atomic.Uint32 // set when the text is whole
	text        [1000]byte    // the first error
	latency     latencyMemory
}

const counterSize = int(unsafe.Sizeof(counterMemory{}))

// NewCounter is a counter of this process alone.
func NewCounter() *Counter { return &Counter{m: new(counterMemory)} }

// mapCounter is the counter in the shared file f.
func mapCounter(f *os.File) (*Counter, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, counterSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("share the counters: %w", err)
	}
	return &Counter{m: (*counterMemory)(unsafe.Pointer(&b[0])), mapped: b}, nil
}

// close unmaps a mapped counter; it must not be used afterwards.
func (c *Counter) close() {
	if c.mapped != nil {
		_ = unix.Munmap(c.mapped)
		c.m, c.mapped = nil, nil
	}
}

// Op counts one operation that was right, and how long it took; what a load
// waits for of its own will is no part of that.
func (c *Counter) Op(took time.Duration) {
	c.m.latency.record(int64(took))
	c.m.ops.Add(1)
}

// Wrong counts a wrong result; the text of the first is kept.
func (c *Counter) Wrong(format string, args ...any) {
	if c.m.errors.Add(1); c.m.claimed.CompareAndSwap(0, 1) {
		n := copy(c.m.text[:], fmt.Sprintf(format, args...))
		c.m.length.Store(uint32(n))
	}
}

// Ops is the number of right operations.
func (c *Counter) Ops() uint64 { return c.m.ops.Load() }

// Errors is the number of wrong results.
func (c *Counter) Errors() uint64 { return c.m.errors.Load() }

// FirstError is the first wrong result in words, "" if there was none.
func (c *Counter) FirstError() string {
	// The length comes from another process: bounded here.
	return string(c.m.text[:min(c.m.length.Load(), uint32(len(c.m.text)))])
}
