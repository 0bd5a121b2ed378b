// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// consolePipe is the size of the console's pipe in bytes, the most that
// every user may ask for (/proc/sys/fs/pipe-max-size). At the speed of a
// serial line, our reader may be ten seconds late.
const consolePipe = 1 << 20

// ends are the two ends of what connects us with QEMU.
type ends struct {
	monitor, channel net.Conn
	screen, keyboard *os.File   // what the console says, and hears
	theirs           []*os.File // descriptors 3 and up, see inherited
}

// openEnds makes them, and the names of the console's pipes in dir, which may
// go once QEMU has opened them.
func openEnds(dir string) (e *ends, err error) {
	e = &ends{}
	defer func() {
		if err != nil {
			e.closeOurs()
			e.closeTheirs()
		}
	}()
	if e.monitor, err = e.socket("monitor"); err != nil {
		return nil, err
	}
	input, keyboard, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("console pipe: %w", err)
	}
	e.keyboard = keyboard
	if err := e.pass(dir, "in", input); err != nil {
		return nil, err
	}
	screen, output, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("console pipe: %w", err)
	}
	e.screen = screen
	if err := e.pass(dir, "out", output); err != nil {
		return nil, err
	}
	// A user with very many pipes may be refused: then the default must do.
	_, _ = unix.FcntlInt(output.Fd(), unix.F_SETPIPE_SZ, consolePipe)
	if e.channel, err = e.socket("channel"); err != nil {
		return nil, err
	}
	return e, nil
}

// pass makes f one of theirs, with a name for QEMU to open it by.
func (e *ends) pass(dir, suffix string, f *os.File) error {
	fd := 3 + len(e.theirs)
	e.theirs = append(e.theirs, f)
	link := filepath.Join(dir, consoleName+"."+suffix)
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", fd), link); err != nil {
		return fmt.Errorf("console pipe: %w", err)
	}
	return nil
}

// socket makes a connected pair and gives our end.
func (e *ends) socket(name string) (net.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s socket: %w", name, err)
	}
	e.theirs = append(e.theirs, os.NewFile(uintptr(fds[1]), name))
	ours := os.NewFile(uintptr(fds[0]), name)
	defer ours.Close() // FileConn has a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("%s socket: %w", name, err)
	}
	return conn, nil
}

func (e *ends) closeOurs() {
	if e.monitor != nil {
		e.monitor.Close()
	}
	for _, f := range []*os.File{e.screen, e.keyboard} {
		if f != nil {
			f.Close()
		}
	}
	if e.channel != nil {
		e.channel.Close()
	}
}

// closeTheirs leaves QEMU the only holder of its ends, so that we see when
// it is gone.
func (e *ends) closeTheirs() {
	for _, f := range e.theirs {
		f.Close()
	}
}
