// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The names of include/uapi/linux/io_uring.h, and no more of it than one read
// needs.
const (
	opRead         = 22      // IORING_OP_READ
	sqeAsync       = 1 << 4  // IOSQE_ASYNC: by a worker from the start
	offSQRing      = 0       // IORING_OFF_SQ_RING
	offSQEs        = 1 << 28 // IORING_OFF_SQES
	enterGetEvents = 1 << 0  // IORING_ENTER_GETEVENTS
	featSingleMmap = 1 << 0  // IORING_FEAT_SINGLE_MMAP
)

type sqOffsets struct {
	Head, Tail, RingMask, RingEntries, Flags, Dropped, Array, _ uint32
	_                                                           uint64
}

type cqOffsets struct {
	Head, Tail, RingMask, RingEntries, Overflow, CQEs, Flags, _ uint32
	_                                                           uint64
}

type ringParams struct {
	SQEntries, CQEntries, Flags, SQThreadCPU, SQThreadIdle, Features, WQ uint32
	_                                                                    [3]uint32
	SQ                                                                   sqOffsets
	CQ                                                                   cqOffsets
}

type submission struct {
	Opcode, Flags uint8
	_             uint16
	FD            int32
	Offset, Addr  uint64
	Length, _     uint32
	UserData      uint64
	_             [3]uint64
}

type completion struct {
	UserData uint64
	Result   int32
	_        uint32
}

// uring reads a file by a worker of io_uring and prints what came, or which
// error did.
func uring(args []string) error {
	if err := wants(args, "FILE"); err != nil {
		return err
	}
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	text := make([]byte, 4096)
	n, result, err := readByWorker(int(f.Fd()), text)
	switch {
	case err != nil:
		return fmt.Errorf("read %s by io_uring: %w", f.Name(), err)
	case result != 0:
		fmt.Println(result)
	default:
		_, err = os.Stdout.Write(text[:n])
	}
	return err
}

// readByWorker is read(2) that a worker does; result is what that came to.
func readByWorker(fd int, text []byte) (n int, result unix.Errno, err error) {
	var p ringParams
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return 0, 0, fmt.Errorf("io_uring_setup: %w", errno)
	}
	defer unix.Close(int(ring))
	if p.Features&featSingleMmap == 0 {
		return 0, 0, fmt.Errorf("this kernel keeps the two rings apart")
	}
	const access, kind = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	size := max(p.SQ.Array+p.SQEntries*4, p.CQ.CQEs+p.CQEntries*uint32(unsafe.Sizeof(completion{})))
	rings, err := unix.Mmap(int(ring), offSQRing, int(size), access, kind)
	if err != nil {
		return 0, 0, fmt.Errorf("map the rings: %w", err)
	}
	defer unix.Munmap(rings)
	entries, err := unix.Mmap(int(ring), offSQEs, int(p.SQEntries)*int(unsafe.Sizeof(submission{})), access, kind)
	if err != nil {
		return 0, 0, fmt.Errorf("map the submissions: %w", err)
	}
	defer unix.Munmap(entries)

	*(*submission)(unsafe.Pointer(&entries[0])) = submission{
		Opcode: opRead, Flags: sqeAsync, FD: int32(fd), Addr: uint64(uintptr(unsafe.Pointer(&text[0]))), Length: uint32(len(text)),
	}
	word := func(at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&rings[at])) }
	*word(p.SQ.Array) = 0
	atomic.AddUint32(word(p.SQ.Tail), 1)

	submit := uintptr(1)
	for atomic.LoadUint32(word(p.CQ.Head)) == atomic.LoadUint32(word(p.CQ.Tail)) {
		_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, ring, submit, 1, enterGetEvents, 0, 0)
		switch errno {
		case 0, unix.EINTR: // a wait that a signal broke off had submitted
			submit = 0
		default:
			return 0, 0, fmt.Errorf("io_uring_enter: %w", errno)
		}
	}
	runtime.KeepAlive(text)
	done := *(*completion)(unsafe.Pointer(&rings[p.CQ.CQEs]))
	if done.Result < 0 {
		return 0, unix.Errno(-done.Result), nil
	}
	return int(done.Result), 0, nil
}
