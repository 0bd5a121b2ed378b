// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const childRole = "child"

func init() { Register(childRole, childMain) }

// Child is a command that dies with this process. Set up Cmd (Stdin, Stdout,
// Stderr, Dir, Env; not ExtraFiles: pass those to Command) before Start.
type Child struct {
	*exec.Cmd
	pipe *os.File // our end; closing it kills the group
	pid  *os.File // the wrapper writes the pid of the real child here
}

// Command prepares name with args under a wrapper. Each of files becomes the
// child's descriptor 3, 4, … in order. When ctx ends, the whole process group
// is killed.
func Command(ctx context.Context, files []*os.File, name string, args ...string) (*Child, error) {
	self, err := Self()
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard pipe: %w", err)
	}
	pidR, pidW, err := os.Pipe()
	if err != nil {
		theirs.Close()
		ours.Close()
		return nil, fmt.Errorf("guard pipe: %w", err)
	}
	n := 3 + len(files)
	cmd := exec.CommandContext(ctx, self, RoleArgs(childRole, append([]string{strconv.Itoa(n), name}, args...)...)...)
	cmd.ExtraFiles = append(append([]*os.File{}, files...), theirs, pidW)
	// A session of its own: Ctrl-C reaches us, and we decide what happens then.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c := &Child{Cmd: cmd, pipe: ours, pid: pidR}
	cmd.Cancel = func() error { return c.pipe.Close() }
	return c, nil
}

// Start starts the child. Wait must follow.
func (c *Child) Start() error {
	err := c.Cmd.Start()
	n := len(c.Cmd.ExtraFiles)
	c.Cmd.ExtraFiles[n-1].Close()
	c.Cmd.ExtraFiles[n-2].Close()
	if err != nil {
		c.pipe.Close()
		c.pid.Close()
	}
	return err
}

// Pid waits for the wrapper to start the real child and gives its process id;
// 0 when it never started.
func (c *Child) Pid() int {
	defer c.pid.Close()
	text, err := io.ReadAll(c.pid)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// Kill ends the whole group with SIGKILL. Wait reaps it.
func (c *Child) Kill() { c.pipe.Close() }

// Wait waits for the child and everything it started.
func (c *Child) Wait() error {
	defer c.pipe.Close()
	defer c.pid.Close()
	return c.Cmd.Wait()
}

// Run is Start and Wait.
func (c *Child) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// childMain is the wrapper: args are the number of the pipe's descriptor (the
// pid's follows it) and the command.
func childMain(args []string) int {
	runtime.LockOSThread() // Pdeathsig below is bound to this thread
	fd, err := strconv.Atoi(args[0])
	if err != nil || len(args) < 2 {
		return 125
	}
	deafen()
	// Grandchildren that lose their parent come to us, to be killed as well.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	pipe, pidW := os.NewFile(uintptr(fd), "guard"), os.NewFile(uintptr(fd+1), "pid")
	unix.CloseOnExec(fd)
	unix.CloseOnExec(fd + 1)

	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	for i := 3; i < fd; i++ {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(i), "inherited"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	fmt.Fprintf(pidW, "%d", cmd.Process.Pid)
	pidW.Close()
	for _, f := range cmd.ExtraFiles {
		f.Close() // or the other end would never see EOF
	}
	go func() {
		io.Copy(io.Discard, pipe) // until the parent closes or dies
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	}()
	err = cmd.Wait()
	unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // stragglers of the group
	reap()
	return status(err)
}

// reap ends all that lost their parent and so came to us, also those that had
// left the group, and waits for them: what is killed is there for a moment more.
func reap() {
	for {
		switch pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); {
		case err == unix.EINTR || pid > 0:
			continue
		case err != nil:
			return // no child is left
		}
		for _, pid := range processes(func(stat []string) bool { return stat[1] == strconv.Itoa(os.Getpid()) }) {
			unix.Kill(pid, unix.SIGKILL)
		}
		_, _ = unix.Wait4(-1, nil, 0, nil) // for one; theirs come to us then
	}
}

// processes are those whose /proc/PID/stat, from the state on, is one of ours.
func processes(ours func(stat []string) bool) (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range all {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // gone
		}
		// PID (NAME) STATE PPID PGRP …, and a name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 3 || !ours(fields) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// deafen keeps the terminal's signals from this process: they are its
// parent's business. They are caught and dropped and not ignored, since a
// child would inherit that.
func deafen() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM)
}

// status is the exit status a shell would give for err.
func status(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return 126
	case exit.ExitCode() >= 0:
		return exit.ExitCode()
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return 126
}
