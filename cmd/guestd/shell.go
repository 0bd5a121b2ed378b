// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// shellArg on the kernel's command line asks for a shell on the console.
const shellArg = "switchyard.shell"

// shellProgram is u-root's, see package images.
const shellProgram = "/bbin/gosh"

// wantsShell says whether somebody sits at the console.
func wantsShell() bool {
	line, err := os.ReadFile("/proc/cmdline")
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(line))+" ", " "+shellArg+" ")
}

// offerShell gives a shell on the console, again whenever one ends, while the
// agent goes on serving.
func (a *agent) offerShell() {
	// Notices of the kernel would be written into what is being typed; they
	// stay in dmesg. 5: errors and warnings are shown.
	_, _ = unix.Klogctl(8, make([]byte, 5))
	for {
		began := time.Now()
		err := a.shell()
		if time.Since(began) < time.Second { // it would go round and round
			fmt.Fprintln(os.Stderr, channel.AgentMarker, "the shell on the console ended at once:", err)
			return
		}
	}
}

func (a *agent) shell() error {
	// Not /dev/console, which cannot be a controlling terminal.
	tty, err := os.OpenFile("/dev/ttyS0", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	cmd := exec.Command(shellProgram)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.Env = append(os.Environ(), "PATH=/bbin:/bin", "HOME=/", "TERM=vt100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := a.children.Start(cmd); err != nil {
		return err
	}
	return a.children.Wait(cmd)
}
