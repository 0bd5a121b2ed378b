// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// devices are what a compiler or a script may want of /dev.
var devices = []string{"null", "zero", "full", "random", "urandom"}

// mountAll mounts the root over itself, all that belongs into it, and makes
// it read-only.
func mountAll(o order) error {
	// A mount of its own: pivot_root needs one, and it can be made read-only
	// without touching the host's.
	if err := unix.Mount(o.Root, o.Root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", o.Root, err)
	}
	root, err := os.OpenRoot(o.Root)
	if err != nil {
		return err
	}
	defer root.Close()
	m := mounter{root}
	if err := m.fresh("tmpfs", "dev", "mode=755"); err != nil {
		return err
	}
	for _, name := range devices {
		if err := m.bind(Bind{Host: "/dev/" + name, Inside: "/dev/" + name, Writable: true}); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := root.Symlink(target, "dev/"+name); err != nil {
			return err
		}
	}
	if err := m.fresh("tmpfs", "tmp", "mode=1777"); err != nil {
		return err
	}
	if err := m.proc(); err != nil {
		return err
	}
	for _, b := range o.Binds {
		if err := m.bind(b); err != nil {
			return err
		}
	}
	return m.readOnlyRoot()
}

// mounter mounts below a root, with os.Root to see that no link in there
// leads out.
type mounter struct{ root *os.Root }

// at gives a path that means the file inside is now, for mount(2).
func (m mounter) at(inside string, do func(path string) error) error {
	f, err := m.root.Open(inside)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}

func (m mounter) fresh(kind, inside, options string) error {
	if err := m.root.MkdirAll(inside, 0o755); err != nil {
		return err
	}
	return m.at(inside, func(target string) error {
		if err := unix.Mount(kind, target, kind, unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return fmt.Errorf("mount %s at /%s: %w", kind, inside, err)
		}
		return nil
	})
}

// proc mounts a /proc of the new process namespace. A container whose own
// /proc has parts covered may not; there the container's has to do.
func (m mounter) proc() error {
	return m.at("proc", func(target string) error {
		err := unix.Mount("proc", target, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		if errors.Is(err, unix.EPERM) {
			err = unix.Mount("/proc", target, "", unix.MS_BIND|unix.MS_REC, "")
		}
		if err != nil {
			return fmt.Errorf("mount /proc: %w", err)
		}
		return nil
	})
}

func (m mounter) bind(b Bind) error {
	inside := strings.TrimPrefix(path.Clean(b.Inside), "/")
	if err := m.place(b.Host, inside); err != nil {
		return fmt.Errorf("make %s in the tool root: %w", b.Inside, err)
	}
	err := m.at(inside, func(target string) error {
		return unix.Mount(b.Host, target, "", unix.MS_BIND|unix.MS_REC, "")
	})
	if err == nil && !b.Writable {
		err = m.readOnly(inside)
	}
	if err != nil {
		return fmt.Errorf("mount %s at %s: %w", b.Host, b.Inside, err)
	}
	return nil
}

// place makes the folder or empty file that host is mounted over.
func (m mounter) place(host, inside string) error {
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	if _, err := m.root.Stat(inside); err == nil {
		return nil
	}
	if info.IsDir() {
		return m.root.MkdirAll(inside, 0o755)
	}
	if err := m.root.MkdirAll(path.Dir(inside), 0o755); err != nil {
		return err
	}
	f, err := m.root.Create(inside)
	if err != nil {
		return err
	}
	return f.Close()
}

// readOnly makes what is mounted at inside, and below, read-only.
func (m mounter) readOnly(inside string) error {
	f, err := m.root.Open(inside)
	if err != nil {
		return err
	}
	defer f.Close()
	return setReadOnly(int(f.Fd()), unix.AT_RECURSIVE)
}

// readOnlyRoot makes the root itself read-only, and not what was mounted in it.
func (m mounter) readOnlyRoot() error {
	f, err := m.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return setReadOnly(int(f.Fd()), 0)
}

func setReadOnly(fd int, flags uint) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(fd, "", flags|unix.AT_EMPTY_PATH, &attr)
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// Before Linux 5.12. A user namespace may not clear the flags that the
	// mount has from outside, so they are all named again.
	var s unix.Statfs_t
	if err := unix.Fstatfs(fd, &s); err != nil {
		return err
	}
	// The ST_ constants of these are the MS_ ones: statfs(2).
	kept := uintptr(s.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if s.Flags&unix.ST_RELATIME != 0 {
		kept |= unix.MS_RELATIME
	}
	return unix.Mount("", fmt.Sprintf("/proc/self/fd/%d", fd), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|kept, "")
}
