// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct says whether QEMU can read and write the device state at path
// itself: from 8.2 on.
func direct(q QEMU, path string) bool { return q.Major() >= 9 && !strings.Contains(path, ",") }

// streamOut names the file path for QEMU's migration to write. Once QEMU says
// that it has completed, written says when all of it is there: an older QEMU
// writes to a pipe, behind which cat may have the rest yet to write, or no
// room to write it.
func streamOut(q QEMU, path string) (uri string, written func() (bool, error), err error) {
	if direct(q, path) {
		return "file:" + path, func() (bool, error) { return true, nil }, nil
	}
	// A mark that goes when all is written, or changes its name: neither needs
	// room on a full disk.
	mark, refused := path+".writing", path+".refused"
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return "", nil, err
	}
	uri = fmt.Sprintf("exec:if cat >%s; then rm %s; else mv %[2]s %s; fi", quote(path), quote(mark), quote(refused))
	return uri, func() (bool, error) {
		if _, err := os.Stat(mark); err == nil {
			return false, nil
		}
		if os.Remove(refused) == nil {
			return false, errors.New("the device state could not be written")
		}
		return true, nil
	}, nil
}

// streamIn names the file path for QEMU's migration to read.
func streamIn(q QEMU, path string) string {
	if direct(q, path) {
		return "file:" + path
	}
	return "exec:cat <" + quote(path)
}

// scantDisk is the free space in bytes below which a failure to write is put
// down to the lack of it.
const scantDisk = 4 << 20

// full is ENOSPC if the machine has its memory in a file, and the disk there is
// full: QEMU names no errno, and dies of SIGBUS where the guest writes to a
// hole of the file that cannot be filled.
func (c Config) full() error {
	if !c.RAM.Shared {
		return nil
	}
	var disk unix.Statfs_t
	if unix.Statfs(c.RAM.File, &disk) != nil || int64(disk.Bavail)*disk.Bsize > scantDisk {
		return nil
	}
	return fmt.Errorf("the guest's memory in %s: %w", c.RAM.File, syscall.ENOSPC)
}
