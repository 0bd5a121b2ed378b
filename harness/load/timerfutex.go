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
		turns(ctx, c, wakeOne)
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
			c.Op(took - wait) // how late it was
		}
	}
	return nil
}

// baton is a word that two threads wait on in turn: 0 is the first's turn, 1
// the second's, 2 the end. It is handed on again and again; each handing has
// a number, from 1.
type baton struct {
	word   uint32
	number uint64 // of the last handing begun; only whose turn it is touches it
	// done is the last handing whose wake-up was seen to be done. A thread can
	// be kept from the CPU before it says so, when its partner is turns ahead:
	// hence the numbers.
	done atomic.Pointer[handing]
	wake func(*uint32)
}

// handing is one handing on of a baton.
type handing struct {
	number uint64
	at     int64 // when its wake-up had been done, CLOCK_MONOTONIC in ns
}

// pass changes the word and wakes who waits; it gives the handing's number,
// and false if the word was not from.
func (b *baton) pass(from, to uint32) (uint64, bool) {
	n := b.number + 1
	b.number = n
	if !atomic.CompareAndSwapUint32(&b.word, from, to) {
		return n, false
	}
	b.wake(&b.word)
	b.done.Store(&handing{n, monotonic()})
	return n, true
}

// patience is how long a wait for the turn may last before it is looked at.
const patience = time.Second

// await waits until the word is want, by the handing of that number; false
// when it is the end.
func (b *baton) await(c *Counter, want uint32, number uint64) bool {
	for {
		v := atomic.LoadUint32(&b.word)
		if v == want || v == 2 {
			return v == want
		}
		timeout := unix.NsecToTimespec(int64(patience))
		start := monotonic()
		_, errno := futex(&b.word, futexWait, v, &timeout)
		switch errno {
		case 0, syscall.EAGAIN, syscall.EINTR:
		case syscall.ETIMEDOUT:
			if took := time.Duration(monotonic() - start); took < patience {
				c.Wrong("a futex wait for %v ended after %v", patience, took)
			}
			// A wake-up done while we waited would have ended the wait with
			// success, however late we got a CPU after it.
			if h := b.done.Load(); h != nil && h.number == number && h.at > start && h.at <= start+int64(patience) {
				c.Wrong("no wake-up came of one that was done %v before the wait timed out", patience-time.Duration(h.at-start))
			}
		default:
			c.Wrong("futex wait: %v", errno)
			return false
		}
	}
}

// turns hands the turn to and fro between two threads.
func turns(ctx context.Context, c *Counter, wake func(*uint32)) {
	b := &baton{wake: wake}
	var other atomic.Uint64 // turns the other took
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for next := uint64(1); b.await(c, 1, next); {
			other.Add(1)
			n, ok := b.pass(1, 0)
			if !ok {
				return // the end
			}
			next = n + 1
		}
	}()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() {
		atomic.StoreUint32(&b.word, 2)
		wakeOne(&b.word)
		<-done
	}()
	for ours := uint64(1); ctx.Err() == nil; ours++ {
		began := time.Now()
		n, ok := b.pass(0, 1)
		if !ok {
			c.Wrong("a futex word that only its owner changes is %d", atomic.LoadUint32(&b.word))
			return
		}
		if !b.await(c, 0, n+1) {
			return
		}
		if theirs := other.Load(); theirs != ours {
			c.Wrong("after %d turns here the other side took %d", ours, theirs)
			return
		}
		c.Op(time.Since(began))
		yield()
	}
}

func wakeOne(word *uint32) { _, _ = futex(word, futexWake, 1, nil) }

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
