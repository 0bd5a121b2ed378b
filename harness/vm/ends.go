// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// consolePipe is the size of the console's pipe in bytes, the most that
// every user may ask for (/proc/sys/fs/pipe-max-size). At the speed of a
// serial line, our reader may be ten seconds late.
const consolePipe = 1 << 20

// ends are the two ends of what connects us with QEMU.
type ends struct {
	monitor, channel net.Conn
	serial           *os.File
	theirs           []*os.File // in the order of backends
}

func openEnds() (e *ends, err error) {
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
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("console pipe: %w", err)
	}
	e.serial, e.theirs = read, append(e.theirs, write)
	// A user with very many pipes may be refused: then the default must do.
	_, _ = unix.FcntlInt(write.Fd(), unix.F_SETPIPE_SZ, consolePipe)
	if e.channel, err = e.socket("channel"); err != nil {
		return nil, err
	}
	return e, nil
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
	if e.serial != nil {
		e.serial.Close()
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
