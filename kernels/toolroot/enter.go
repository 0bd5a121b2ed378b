// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// The two processes between us and a job. The first makes the namespaces by
// cloning the second, since a Go program has several threads and can not
// enter a user namespace itself; the second is process 1 in there, mounts
// what is needed and becomes the job.
const (
	enterRole = "toolroot-enter"
	setUpRole = "toolroot-setup"
)

func init() {
	guard.Register(enterRole, enterMain)
	guard.Register(setUpRole, setUpMain)
}

// statusNotEntered is the exit status when the job did not start; the status
// file has the reason.
const statusNotEntered = 125

func enterMain(args []string) int {
	runtime.LockOSThread() // for Pdeathsig, see package guard
	o, err := readOrder(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return statusNotEntered
	}
	leash, err := os.OpenFile(o.Leash, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return statusNotEntered // the caller is gone already
	}
	cmd := exec.Command("/proc/self/exe", guard.RoleArgs(setUpRole, args[0])...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if o.Entry == asUser {
		// Any other id than 0 would lose its capabilities at exec.
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: o.UID, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: o.GID, Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		o.say(fmt.Sprintf("make namespaces: %v", err))
		return statusNotEntered
	}
	go func() {
		_, _ = io.Copy(io.Discard, leash)
		_ = cmd.Process.Kill() // process 1: all others in there go with it
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case errors.As(err, &exit):
		return 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
	}
	fmt.Fprintln(os.Stderr, err)
	return statusNotEntered
}

func setUpMain(args []string) int {
	runtime.LockOSThread() // no_new_privs is a thread's
	o, err := readOrder(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return statusNotEntered
	}
	// Opened now: from inside the root its path leads nowhere.
	status, err := os.OpenFile(o.Status, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return statusNotEntered
	}
	if err := setUp(o); err != nil {
		fmt.Fprint(status, err)
		return statusNotEntered
	}
	if _, err := fmt.Fprint(status, ready); err != nil {
		return statusNotEntered
	}
	if o.Probe {
		return 0
	}
	os.Clearenv()
	for _, pair := range o.Env {
		for i := range len(pair) {
			if pair[i] == '=' {
				os.Setenv(pair[:i], pair[i+1:])
				break
			}
		}
	}
	program, err := exec.LookPath(o.Argv[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "tool root: %v\n", err)
		return 127
	}
	err = unix.Exec(program, o.Argv, o.Env)
	fmt.Fprintf(os.Stderr, "tool root: %s: %v\n", program, err)
	return 126
}

// setUp makes the root of o the root of this process.
func setUp(o order) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mountAll(o); err != nil {
		return err
	}
	if err := unix.Chdir(o.Root); err != nil {
		return fmt.Errorf("enter %s: %w", o.Root, err)
	}
	// pivot_root(2): with "." twice the old root lies over the new one, and
	// comes off without a folder to put it into.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root to %s: %w", o.Root, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if o.Entry == bySudo {
		if err := becomeCaller(o); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	unix.Umask(0o022)
	if o.Probe {
		return nil
	}
	if err := unix.Chdir(o.Dir); err != nil {
		return fmt.Errorf("enter %s inside the tool root: %w", o.Dir, err)
	}
	return nil
}

// becomeCaller gives up root for the user who called sudo: what the job makes
// is theirs.
func becomeCaller(o order) error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop groups: %w", err)
	}
	if err := syscall.Setgid(o.GID); err != nil {
		return fmt.Errorf("become group %d: %w", o.GID, err)
	}
	if err := syscall.Setuid(o.UID); err != nil {
		return fmt.Errorf("become user %d: %w", o.UID, err)
	}
	return nil
}
