// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var timerFutex = Load{
	Name: "timer-futex",
	What: "N groups of three threads: one arms timers and checks that none fires early, two hand a turn to each other by futex and check that none is lost",
	N:    2,
	Touches: []Touch{
		{Pattern: "vmlinux:*timer*"}, {Pattern: "vmlinux:*nanosleep*"}, {Pattern: "vmlinux:*futex*"},
		{Pattern: "vmlinux:*schedule*"}, {Pattern: "vmlinux:try_to_wake_up"},
	},
	Body: timersAndFutexes,
}

func timersAndFutexes(ctx context.Context, c *Counter, s Spec) error {
	return workers(ctx, 2*s.N, func(ctx context.Context, i int) error {
		if i%2 == 0 {
			return timers(ctx, c, monotonic)
		}
		turns(ctx, c, wake)
		return nil
	})
}

// timers arms a timerfd for 1 to 4 ms, reads it, and holds it against now.
func timers(ctx context.Context, c *Counter, now func() int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var b [8]byte
	for turn := 0; ctx.Err() == nil; turn++ {
		wait := time.Duration(1+turn%4) * time.Millisecond
		start := now()
		arm := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
		if err := unix.TimerfdSettime(fd, 0, &arm, nil); err != nil {
			return err
		}
		n, err := again(func() (int, error) { return unix.Read(fd, b[:]) })
		took := time.Duration(now() - start)
		switch fired := binary.NativeEndian.Uint64(b[:]); {
		case err != nil || n != len(b):
			c.Wrong("read a timer: %d bytes, %v", n, err)
		case fired != 1:
			c.Wrong("a timer for one time fired %d times", fired)
		case took < wait:
			c.Wrong("a timer for %v fired after %v", wait, took)
		default:
			c.Op()
		}
	}
	return nil
}

// turns hands a turn between two threads through one word: 0 is ours, 1 the
// other's, 2 the end.
func turns(ctx context.Context, c *Counter, wake func(*uint32)) {
	word := new(uint32)
	var other atomic.Uint64 // turns the other took
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for awaitTurn(c, word, 1) {
			other.Add(1)
			if !atomic.CompareAndSwapUint32(word, 1, 0) {
				return // 2: the end
			}
			wake(word)
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() {
		atomic.StoreUint32(word, 2)
		wake(word)
		<-done
	}()
	for ours := uint64(0); ctx.Err() == nil; {
		if ours++; !atomic.CompareAndSwapUint32(word, 0, 1) {
			c.Wrong("a futex word that only its owner changes is %d", atomic.LoadUint32(word))
			return
		}
		wake(word)
		if !awaitTurn(c, word, 0) {
			return
		}
		if n := other.Load(); n != ours {
			c.Wrong("after %d turns here the other side took %d", ours, n)
			return
		}
		c.Op()
		yield()
	}
}

// futexPatience is how long a wake-up may take before the waiter looks by
// itself; a turn found then was a wake-up lost.
const futexPatience = time.Second

// awaitTurn waits until word is want; false when it is the end.
func awaitTurn(c *Counter, word *uint32, want uint32) bool {
	for {
		v := atomic.LoadUint32(word)
		if v == want || v == 2 {
			return v == want
		}
		start := monotonic()
		timeout := unix.NsecToTimespec(int64(futexPatience))
		errno := wait(word, v, &timeout)
		took := time.Duration(monotonic() - start)
		switch errno {
		case 0, syscall.EAGAIN, syscall.EINTR:
		case syscall.ETIMEDOUT:
			if took < futexPatience {
				c.Wrong("a futex wait for %v ended after %v", futexPatience, took)
			}
		default:
			c.Wrong("futex wait: %v", errno)
			return false
		}
	}
}

func wait(word *uint32, value uint32, timeout *unix.Timespec) syscall.Errno {
	_, errno := futex(word, futexWait, value, timeout)
	return errno
}

func wake(word *uint32) { _, _ = futex(word, futexWake, 1, nil) }

// Operations of futex(2), include/uapi/linux/futex.h.
const (
	futexWait = 0
	futexWake = 1
)

// futex is the system call; timeout is relative for futexWait.
func futex(word *uint32, op int, value uint32, timeout *unix.Timespec) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), uintptr(op), uintptr(value), uintptr(unsafe.Pointer(timeout)), 0, 0)
	return int(n), errno
}
