// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// putFile writes the host's file under a temporary name and renames it, so
// that nobody sees half of it.
func putFile(_ context.Context, c *channel.Call) (any, error) {
	var in channel.PutFile
	if err := c.Decode(&in); err != nil {
		return nil, err
	}
	err := os.MkdirAll(filepath.Dir(in.Path), 0o755)
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(filepath.Dir(in.Path), ".put-*")
	}
	if err != nil {
		_, _ = c.Chunks(io.Discard) // the host speaks before it listens
		return nil, err
	}
	defer os.Remove(f.Name())
	n, err := c.Chunks(f)
	if err == nil && n != in.Size {
		err = fmt.Errorf("%d bytes came, %d were announced", n, in.Size)
	}
	if err == nil {
		err = f.Chmod(os.FileMode(in.Mode).Perm())
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), in.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("put %s: %w", in.Path, err)
	}
	return nil, nil
}

func getFile(_ context.Context, in channel.GetFile) (io.ReadCloser, int64, error) {
	f, err := os.Open(in.Path)
	return f, in.Limit, err
}

// reseed gives the kernel's generator new entropy and makes it use it:
// random(4), RNDADDENTROPY and RNDRESEEDCRNG.
func reseed(_ context.Context, in channel.ReseedRequest) (none, error) {
	f, err := os.OpenFile("/dev/random", os.O_WRONLY, 0)
	if err != nil {
		return none{}, err
	}
	defer f.Close()
	var pool struct {
		bits, size int32
		data       [64]byte
	}
	pool.size = int32(copy(pool.data[:], in.Seed))
	pool.bits = 8 * pool.size
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return none{}, fmt.Errorf("add entropy: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return none{}, fmt.Errorf("reseed: %w", errno)
	}
	return none{}, nil
}
