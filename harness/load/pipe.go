// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"runtime"
	"syscall"
	"time"
)

var pipePing = Load{
	Name: "pipe",
	What: "N pairs of threads, each blocked in read() of a pipe until the other has answered, pass a counted token to and fro and check it",
	N:    8,
	Touches: []Touch{
		{Pattern: "vmlinux:pipe_*"}, {Pattern: "vmlinux:*_pipe_*"}, {Pattern: "vmlinux:vfs_read"}, {Pattern: "vmlinux:vfs_write"},
		{Pattern: "vmlinux:*schedule*"}, {Pattern: "vmlinux:try_to_wake_up"}, {Pattern: "vmlinux:*wake_up*"},
	},
	Body: pingPong,
}

func pingPong(ctx context.Context, c *Counter, s Spec) error {
	return workers(ctx, s.N, func(ctx context.Context, i int) error {
		there, back, err := twoPipes()
		if err != nil {
			return err
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			answer(there[0], back[1], func(v uint64) uint64 { return v + 1 })
		}()
		ping(ctx, c, there[1], back[0], uint64(i)<<32)
		syscall.Close(there[1]) // the other reads the end and goes
		<-answered
		for _, fd := range []int{there[0], back[0], back[1]} {
			syscall.Close(fd)
		}
		return nil
	})
}

func twoPipes() (there, back [2]int, err error) {
	if err = syscall.Pipe2(there[:], syscall.O_CLOEXEC); err != nil {
		return there, back, err
	}
	if err = syscall.Pipe2(back[:], syscall.O_CLOEXEC); err != nil {
		syscall.Close(there[0])
		syscall.Close(there[1])
	}
	return there, back, err
}

// ping sends a token and checks what comes back, until ctx ends.
func ping(ctx context.Context, c *Counter, out, in int, token uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ctx.Err() == nil {
		began := time.Now()
		if err := send(out, token); err != nil {
			c.Wrong("write to a pipe: %v", err)
			return
		}
		got, err := receive(in)
		switch {
		case err != nil:
			c.Wrong("read from a pipe: %v", err)
			return
		case got != token+1:
			c.Wrong("sent %#x through a pipe, got %#x back and not one more", token, got)
			return // the two are out of step for good
		}
		c.Op(time.Since(began))
		token = got
		yield()
	}
}

// answer sends back what change makes of each token, until the pipe ends.
func answer(in, out int, change func(uint64) uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		token, err := receive(in)
		if err != nil || send(out, change(token)) != nil {
			return
		}
	}
}

// Raw system calls: os.File would park the goroutine in Go's poller, and the
// task would not block in the kernel's read.

func send(fd int, token uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], token)
	n, err := again(func() (int, error) { return syscall.Write(fd, b[:]) })
	if err == nil && n != len(b) {
		return syscall.EIO
	}
	return err
}

func receive(fd int) (uint64, error) {
	var b [8]byte
	n, err := again(func() (int, error) { return syscall.Read(fd, b[:]) })
	if err == nil && n != len(b) {
		return 0, syscall.EPIPE // the end, or torn
	}
	return binary.LittleEndian.Uint64(b[:]), err
}
