// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// raisePriority makes all threads of the agent SCHED_FIFO, and by inheritance
// those to come: no load may keep the watcher, or the answer to a call, from
// the CPU. The kernel's own brake (sched_rt_runtime_us) stays on.
func raisePriority() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("real-time priority: %w", err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := schedule(tid, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("real-time priority: %w", err)
		}
	}
	return nil
}

// realtime sets whether children of this thread are born ordinary.
func realtime(resetOnFork bool) error {
	flags := uint64(0)
	if resetOnFork {
		flags = unix.SCHED_FLAG_RESET_ON_FORK
	}
	return schedule(0, flags)
}

func schedule(tid int, flags uint64) error {
	// Priority 1 for all: see sampler.Realtime.
	return unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: flags}, 0)
}

// ordinarily runs f as an ordinary task. What may keep the kernel busy for
// long (loading a module, starting a transition) must not run real-time: it
// would hold up the watcher, which has the same priority, and be stopped by
// the kernel's brake.
func ordinarily(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Ten times a load's share: the wait for a CPU under load is real, but no
	// run should take minutes of it.
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -10}
	if unix.SchedSetAttr(0, &attr, 0) == nil {
		defer func() { _ = schedule(0, 0) }()
	}
	return f()
}
