// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// putFile writes the host's file, below folders that it makes; one that did
// not come whole is removed.
//
// Plain system calls: a temporary name, a rename and Go's poller are 1000
// blocks of code in the guest's kernel, and a run is 26000, each translated
// anew by the emulator.
func putFile(_ context.Context, c *channel.Call) (any, error) {
	var in channel.PutFile
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	f, err := create(in.Path, in.Mode)
	if err != nil {
		_, _ = c.Chunks(io.Discard) // the host speaks before it listens
		return nil, fmt.Errorf("put %s: %w", in.Path, err)
	}
	n, err := c.Chunks(f)
	if err == nil && n != in.Size {
		err = fmt.Errorf("%d bytes came, %d were announced", n, in.Size)
	}
	if closed := unix.Close(int(f)); err == nil {
		err = closed
	}
	if err != nil {
		_ = unix.Unlink(in.Path)
		return nil, fmt.Errorf("put %s: %w", in.Path, err)
	}
	return nil, nil
}

// create opens an empty file, making the folders above it if need be.
func create(path string, mode uint32) (descriptor, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_CLOEXEC
	fd, err := unix.Open(path, flags, mode&0o777)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return -1, err
		}
		fd, err = unix.Open(path, flags, mode&0o777)
	}
	return descriptor(fd), err
}

// descriptor is an open file.
type descriptor int

func (d descriptor) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n, err := unix.Write(int(d), b[done:])
		if err != nil && !errors.Is(err, unix.EINTR) {
			return done, err
		}
		done += max(n, 0)
	}
	return len(b), nil
}

func getFile(_ context.Context, in channel.GetFile) (io.ReadCloser, int64, error) {
	f, err := os.Open(in.Path)
	return f, in.Limit, err
}

// wake makes a fork a guest of its own.
func wake(g channel.Greeting) error {
	now := unix.NsecToTimespec(g.Wall)
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return reseed(g.Nonce[:])
}

// random is /dev/random, opened before a snapshot for what its forks do first.
var random = -1

func openRandom() (err error) {
	if random < 0 {
		random, err = unix.Open("/dev/random", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	}
	return err
}

// reseed gives the kernel's generator new entropy and makes it use it:
// random(4), RNDADDENTROPY and RNDRESEEDCRNG.
func reseed(seed []byte) error {
	if err := openRandom(); err != nil {
		return err
	}
	var pool struct {
		bits, size int32
		data       [64]byte
	}
	pool.size = int32(copy(pool.data[:], seed))
	pool.bits = 8 * pool.size
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(random), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return fmt.Errorf("add entropy: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(random), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed: %w", errno)
	}
	return nil
}
