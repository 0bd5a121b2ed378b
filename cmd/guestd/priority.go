// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// priority is the standing of the agent's threads: above every load at all
// times, real-time while something is watched.
//
// Round robin and not FIFO: Go code and Go's runtime spin for moments (yamux
// on a session that is being closed, for one) and trust that whoever they wait
// for gets the CPU. Under FIFO, with one CPU, he never would.
type priority struct {
	mu       sync.Mutex
	realtime bool
	ordinary map[int]bool // threads that are not to be raised
}

// timeslice is how long one real-time thread of the agent may keep the others
// from the CPU, in ms; the kernel's default is 100.
const timeslice = "4"

func (p *priority) attr(flags uint64) *unix.SchedAttr {
	if p.realtime {
		// Priority 1 for all: see sampler.Realtime.
		return &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1, Flags: flags}
	}
	return &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -20, Flags: flags}
}

// set gives all threads the standing, and by inheritance those to come. The
// kernel's own brake (sched_rt_runtime_us) stays on.
func (p *priority) set(realtime bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.realtime = realtime
	if realtime {
		if err := os.WriteFile("/proc/sys/kernel/sched_rr_timeslice_ms", []byte(timeslice), 0); err != nil {
			return fmt.Errorf("real-time priority: %w", err)
		}
	}
	// Twice, for a thread that one not yet changed has just started.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("the agent's priority: %w", err)
		}
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || p.ordinary[tid] {
				continue
			}
			if err := unix.SchedSetAttr(tid, p.attr(0), 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("the agent's priority: %w", err)
			}
		}
	}
	return nil
}

// begetting runs f in a thread whose children are born ordinary.
func (p *priority) begetting(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.mu.Lock()
	defer p.mu.Unlock() // held throughout: nobody is to change it meanwhile
	// Not allowed outside of a guest, and no matter there.
	if unix.SchedSetAttr(0, p.attr(unix.SCHED_FLAG_RESET_ON_FORK), 0) == nil {
		defer func() { _ = unix.SchedSetAttr(0, p.attr(0), 0) }()
	}
	return f()
}

// ordinarily runs f in an ordinary thread, for as long as it takes.
//
// What may keep the kernel busy for long (loading a module, starting a
// transition) must not run real-time: it would hold up the watcher, which has
// the same priority, and be stopped by the kernel's brake. Nor may a thread
// that reaps: to take a process out of /proc the kernel spins until others,
// ordinary ones, have let go of it (proc_flush_pid, shrink_dcache_parent; a
// second each time on 6.12).
func (p *priority) ordinarily(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := unix.Gettid()
	p.mu.Lock()
	if p.ordinary == nil {
		p.ordinary = map[int]bool{}
	}
	p.ordinary[tid] = true
	// Ten times a load's share: the wait for a CPU under load is real, but no
	// run should take minutes of it.
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -10}
	_ = unix.SchedSetAttr(0, &attr, 0)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.ordinary, tid)
		_ = unix.SchedSetAttr(0, p.attr(0), 0)
	}()
	return f()
}
