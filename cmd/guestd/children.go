// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os/exec"
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
	moves int       // how often

	priority *priority
}

func newChildren(p *priority) *children {
	c := &children{own: map[int]bool{}, priority: p}
	c.moved.L = &c.mu
	return c
}

// Start starts cmd as an ordinary task: not above all others, as the agent is.
func (c *children) Start(cmd *exec.Cmd) error {
	// Held over the start, so that reap never meets a child not yet listed.
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.priority.begetting(cmd.Start); err != nil {
		return err
	}
	c.own[cmd.Process.Pid] = true
	c.move()
	return nil
}

// Wait waits for cmd to end.
func (c *children) Wait(cmd *exec.Cmd) error {
	err := c.priority.ordinarily(cmd.Wait)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.own, cmd.Process.Pid)
	c.move()
	return err
}

func (c *children) move() {
	c.moves++
	c.moved.Broadcast()
}

// reap reaps orphans for ever.
func (c *children) reap() error {
	for {
		c.mu.Lock()
		moves := c.moves
		c.mu.Unlock()
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		c.mu.Lock()
		if errors.Is(err, unix.ECHILD) {
			// Orphans come from children, and there are none until one is
			// started. (One may still be listed, its Wait about to say so:
			// to ask again at once would spin, and at real-time priority.)
			for c.moves == moves {
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
