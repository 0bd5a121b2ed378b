// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var forkStorm = Load{
	Name: "fork",
	What: "N tasks start a program of a few bytes over and over, with a varying number of arguments, and check that it exits with that number",
	N:    2,
	Touches: []Touch{
		{Pattern: "vmlinux:*fork*"}, {Pattern: "vmlinux:copy_process"}, {Pattern: "vmlinux:*clone*"},
		{Pattern: "vmlinux:*exec*"}, {Pattern: "vmlinux:do_exit"}, {Pattern: "vmlinux:*wait*"},
		{Pattern: "vmlinux:load_elf_binary"},
	},
	Body: forkAndExec,
}

// countArguments is the code of the program: it exits with its argc, which
// the kernel puts where the stack pointer points (System V ABI, AMD64, 3.4.1).
var countArguments = []byte{
	0x8b, 0x3c, 0x24, // mov (%rsp),%edi
	0xb8, 0xe7, 0, 0, 0, // mov $231,%eax (exit_group)
	0x0f, 0x05, // syscall
}

// TinyELF wraps code (AMD64) into the smallest static program that the kernel loads:
// an ELF header and one segment.
func TinyELF(code []byte) []byte {
	const base, headers = 0x400000, 64 + 56
	le := binary.LittleEndian
	b := append([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0}, make([]byte, 8)...)
	b = le.AppendUint16(b, 2)  // ET_EXEC
	b = le.AppendUint16(b, 62) // EM_X86_64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+headers) // entry
	b = le.AppendUint64(b, 64)           // program headers
	b = le.AppendUint64(b, 0)            // no section headers
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // readable, executable
	size := uint64(headers + len(code))
	for _, v := range []uint64{0, base, base, size, size, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	return append(b, code...)
}

func forkAndExec(ctx context.Context, c *Counter, s Spec) error {
	return storm(ctx, c, s, TinyELF(countArguments))
}

func storm(ctx context.Context, c *Counter, s Spec, elf []byte) error {
	program, done, err := writeProgram(elf)
	if err != nil {
		return err
	}
	defer done()
	return workers(ctx, s.N, func(ctx context.Context, i int) error {
		for turn := i; ctx.Err() == nil; turn++ {
			args := make([]string, 1+turn%7)
			for k := range args {
				args[k] = "turn"
			}
			began := time.Now()
			status, err := runProgram(program, args)
			took := time.Since(began)
			switch {
			case err != nil:
				c.Wrong("start a program: %v", err)
			case !status.Exited() || status.ExitStatus() != len(args):
				c.Wrong("a program with %d arguments ended with status %#x", len(args), uint32(status))
			default:
				c.Op(took)
			}
			yield()
		}
		return nil
	})
}

// writeProgram puts the program where it can be executed: memory, so that no
// file system has to be writable.
func writeProgram(elf []byte) (path string, done func(), err error) {
	fd, err := unix.MemfdCreate("switchyard-fork", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, fmt.Errorf("a place for the program: %w", err)
	}
	f := os.NewFile(uintptr(fd), "switchyard-fork")
	if _, err := f.Write(elf); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("a place for the program: %w", err)
	}
	// Executed by a descriptor opened for reading, or exec says ETXTBSY.
	path = fmt.Sprintf("/proc/self/fd/%d", fd)
	r, err := os.Open(path)
	f.Close()
	if err != nil {
		return "", nil, fmt.Errorf("a place for the program: %w", err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.Fd()), func() { r.Close() }, nil
}

func runProgram(path string, args []string) (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{Env: []string{}})
	if err != nil {
		return status, err
	}
	_, err = again(func() (int, error) { return syscall.Wait4(pid, &status, 0, nil) })
	return status, err
}
