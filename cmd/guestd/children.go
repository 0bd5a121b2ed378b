// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// children starts and reaps processes. As init the agent gets orphans as
// well, and must reap those and leave its own to exec.Cmd.Wait.
type children struct {
	mu    sync.Mutex
	own   map[int]bool
	moved sync.Cond // own changed
}

func newChildren() *children {
	c := &children{own: map[int]bool{}}
	c.moved.L = &c.mu
	return c
}

// Start starts cmd as an ordinary task: not real-time, as the agent is.
func (c *children) Start(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Held over the start, so that reap never meets a child not yet listed.
	c.mu.Lock()
	defer c.mu.Unlock()
	if realtime(true) == nil {
		defer func() { _ = realtime(false) }()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.own[cmd.Process.Pid] = true
	c.moved.Broadcast()
	return nil
}

// Wait waits for cmd to end.
func (c *children) Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.own, cmd.Process.Pid)
	c.moved.Broadcast()
	return err
}

// reap reaps orphans for ever.
func (c *children) reap() {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		c.mu.Lock()
		if errors.Is(err, unix.ECHILD) {
			// Orphans come from children; there are none, until there are.
			if len(c.own) == 0 {
				c.moved.Wait()
			}
			c.mu.Unlock()
			continue
		}
		pid := childOf(&info)
		for c.own[pid] { // its Wait is about to reap it
			c.moved.Wait()
		}
		c.mu.Unlock()
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// childOf is si_pid, which x/sys/unix does not name; behind three ints and,
// on 64-bit machines, padding (include/uapi/asm-generic/siginfo.h).
func childOf(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}

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
