// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// runCommand runs one command of the host and waits for it.
func (a *agent) runCommand(ctx context.Context, in channel.RunCommand) (channel.CommandResult, error) {
	var out channel.CommandResult
	if len(in.Argv) == 0 {
		return out, fmt.Errorf("no command")
	}
	if err := a.loopback(); err != nil {
		return out, err
	}
	stdout, err := newOutput()
	if err != nil {
		return out, err
	}
	defer stdout.close()
	stderr, err := newOutput()
	if err != nil {
		return out, err
	}
	defer stderr.close()
	cmd := exec.Command(in.Argv[0], in.Argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = in.Dir, stdout.w, stderr.w
	cmd.Env = append(append(os.Environ(), "PATH=/bbin:/bin:/usr/bin:/sbin:/usr/sbin"), in.Env...)
	if cmd.Err != nil { // not in our own PATH, which init may have none of
		for _, dir := range []string{"/bbin/", "/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"} {
			if _, err := os.Stat(dir + in.Argv[0]); err == nil {
				cmd.Path, cmd.Err = dir+in.Argv[0], nil
				break
			}
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := a.children.Start(cmd); err != nil {
		return out, err
	}
	defer context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), channel.ErrForked) {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			stdout.close() // a child that left the group may hold it for good
			stderr.close()
		}
	})()
	err = a.children.Wait(cmd)
	stdout.wait()
	stderr.wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return out, err
	}
	out = channel.CommandResult{Stdout: stdout.b, Stderr: stderr.b, Cut: stdout.cut || stderr.cut}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if out.Status = status.ExitStatus(); status.Signaled() {
		out.Signal = int(status.Signal())
		out.Status = 128 + out.Signal
	}
	return out, nil
}

// output is what a command and the children that it leaves behind write. It is
// read here, and not by exec.Cmd, whose Wait would last until the last of them has
// ended: who reaps waits for that Wait.
type output struct {
	capped
	r, w *os.File
	over chan struct{} // closed when all is read
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	o := &output{r: r, w: w, over: make(chan struct{})}
	go func() { defer close(o.over); _, _ = io.Copy(&o.capped, r) }()
	return o, nil
}

// wait waits until nobody writes any more, or for close.
func (o *output) wait() {
	o.w.Close()
	<-o.over
}

func (o *output) close() {
	o.w.Close()
	o.r.Close()
}

// capped keeps the first channel.MaxOutput bytes.
type capped struct {
	b   []byte
	cut bool
}

func (c *capped) Write(p []byte) (int, error) {
	room := channel.MaxOutput - len(c.b)
	if len(p) > room {
		c.cut = true
		c.b = append(c.b, p[:room]...)
	} else {
		c.b = append(c.b, p...)
	}
	return len(p), nil
}
