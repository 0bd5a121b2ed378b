// SPDX-License-Identifier: Apache-2.0

// Command guest is the work that every contender does in its guest: insert a
// live patch, wait for its transition, see that it works, disable it, wait
// until it is gone, unload it. It is one static program so that the peers
// differ in how they get a guest and drive it, not in what the guest does.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// poll is the pause between two looks at a file that has no way to wait for a
// change: /sys/kernel/livepatch notifies nobody.
const poll = time.Millisecond

// patience is the wall time for one transition. A guest under TCG on a loaded
// host needs seconds at worst.
const patience = time.Minute

func main() {
	text := flag.String("text", "", "what /proc/cmdline says when the patch works")
	flag.Parse()
	if flag.NArg() != 1 || *text == "" {
		fmt.Fprintln(os.Stderr, "usage: guest -text TEXT MODULE.ko")
		os.Exit(2)
	}
	if err := check(flag.Arg(0), *text); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
	fmt.Println("PEER-DONE applied, checked, reverted, unloaded")
}

func check(module, text string) error {
	name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(module), ".ko"), "-", "_")
	if err := mountSys(); err != nil {
		return err
	}
	if err := expect(text, false); err != nil {
		return err
	}
	if err := insert(module); err != nil {
		return err
	}
	state := filepath.Join("/sys/kernel/livepatch", name)
	err := wait("the transition of "+name, func() (bool, error) {
		now, err := os.ReadFile(filepath.Join(state, "transition"))
		return err == nil && string(bytes.TrimSpace(now)) == "0", err
	})
	if err != nil {
		return err
	}
	if err := expect(text, true); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(state, "enabled"), []byte("0"), 0); err != nil {
		return fmt.Errorf("disable the patch: %w", err)
	}
	err = wait(name+" to be reverted", func() (bool, error) {
		_, err := os.Stat(state)
		if errors.Is(err, os.ErrNotExist) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		return err
	}
	if err := expect(text, false); err != nil {
		return err
	}
	// The kernel lets go of the module a little after the folder is gone.
	return wait(name+" to be unloaded", func() (bool, error) {
		err := unix.DeleteModule(name, unix.O_NONBLOCK)
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EAGAIN) {
			return false, nil
		}
		return err == nil, err
	})
}

// mountSys mounts /sys and /proc where the guest's init has not.
func mountSys() error {
	for _, m := range []struct{ kind, dir, probe string }{
		{"proc", "/proc", "/proc/cmdline"},
		{"sysfs", "/sys", "/sys/kernel/livepatch"},
	} {
		if _, err := os.Stat(m.probe); err == nil {
			continue
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	return nil
}

func insert(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("insert %s: %w", module, err)
	}
	return nil
}

func expect(text string, there bool) error {
	got, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if strings.Contains(string(got), text) != there {
		return fmt.Errorf("/proc/cmdline says %q, and that it has %q should be %v", got, text, there)
	}
	return nil
}

func wait(what string, done func() (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(poll) {
		ok, err := done()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v for %s", patience, what)
		}
	}
}
