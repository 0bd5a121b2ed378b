// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// The watcher reads with plain system calls on descriptors that stay open:
// a look must cost microseconds, and os.File's costs are many of them.

func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// pread reads from the start of fd.
func pread(fd int, buf []byte) ([]byte, error) {
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != unix.EINTR {
			return buf[:max(n, 0)], err
		}
	}
}

// readInt reads a file that holds one number.
func readInt(fd int, buf []byte) (int, error) {
	b, err := pread(fd, buf)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(b)))
}

// readFile reads at most len(buf) bytes of a file.
func readFile(path string, buf []byte) ([]byte, error) {
	fd, err := open(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return pread(fd, buf)
}

// now is CLOCK_MONOTONIC in ns.
func now() int64 { return clock(unix.CLOCK_MONOTONIC) }

func clock(id int32) int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(id, &t)
	return t.Nano()
}

// folder lists a folder again and again through one descriptor.
type folder struct {
	fd   int
	buf  []byte
	rest []byte
}

func openFolder(path string) (*folder, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &folder{fd: fd, buf: make([]byte, 8<<10)}, nil
}

// rewind starts anew.
func (f *folder) rewind() {
	_, _ = unix.Seek(f.fd, 0, 0)
	f.rest = nil
}

// next is the next name; ok is false at the end.
func (f *folder) next(names []string) ([]string, bool) {
	if len(f.rest) == 0 {
		n, err := unix.ReadDirent(f.fd, f.buf)
		if err != nil || n <= 0 {
			return names, false
		}
		f.rest = f.buf[:n]
	}
	used, _, names := unix.ParseDirent(f.rest, 1, names)
	if used == 0 {
		f.rest = nil
	}
	f.rest = f.rest[used:]
	return names, true
}

func (f *folder) close() { unix.Close(f.fd) }
