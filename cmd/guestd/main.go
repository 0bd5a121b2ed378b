// SPDX-License-Identifier: Apache-2.0

// Command guestd is the agent in the guest: it mounts what is needed, loads
// the modules that carry its channel, and does what the host asks for.
//
// It is thin: what it wires together lives in harness/channel, harness/load
// and harness/observe/sampler. It is init (rdinit=/bin/guestd) or started by
// one. It must start fast, also under an emulator: nothing here may do work
// in package initialisation, and each import is paid for at every boot.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

func main() {
	if os.Args[0] == load.ProcessName {
		os.Exit(load.Main(os.Args))
	}
	if os.Args[0] == lateness.ProcessName {
		os.Exit(lateness.Main())
	}
	os.Exit(run())
}

// openFiles is how many files the agent may have open: the sampler keeps up to
// 8192.
const openFiles = 16384

func run() int {
	defer confess()
	if err := insideGuest(); err != nil {
		fmt.Fprintln(os.Stderr, channel.AgentMarker, err)
		return 2
	}
	// The heap is a few MiB: fewer collections, and a bound that leaves the
	// guest's memory, 256 MiB at the least, to what is tested.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(64 << 20)
	// A descriptor for each of thousands of tasks that are watched; what init is
	// given is 4096. If it cannot be, fewer are kept open.
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: openFiles, Max: openFiles})
	// A processor of Go's for the watcher even when there is one CPU and a
	// call keeps another busy; the kernel's scheduler does the rest.
	runtime.GOMAXPROCS(max(4, runtime.NumCPU()))

	a := newAgent()
	a.try(mountAll())
	a.try(a.loadModules(modulesList))
	a.try(a.priority.set(false))
	if os.Getpid() == 1 {
		go guarded(func() { _ = a.priority.ordinarily(a.children.reap) })
	}
	if wantsMailbox() {
		a.ring, a.virtual = mailboxRing, true
		if err := a.serveMailbox(); err != nil {
			return a.fail(fmt.Errorf("serve the mailbox: %w", err))
		}
		return 0
	}
	if wantsShell() {
		a.try(a.loopback())
		go guarded(a.offerShell)
	}
	port, err := openPort(context.Background(), portName)
	if err != nil {
		return a.fail(err)
	}
	if err := channel.Serve(context.Background(), port, a.hello, a.handlers()); err != nil {
		return a.fail(fmt.Errorf("serve on %s: %w", portName, err))
	}
	return 0
}

// insideGuest refuses to mount over a machine that somebody works on: the
// agent is init, or started by the init of an image that was made for it.
func insideGuest() error {
	if os.Getpid() == 1 {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(modulesList)); err != nil {
		return fmt.Errorf("this is the agent of a guest and runs nowhere else: %w", err)
	}
	return nil
}

// fail reports on the console; as init it must not return, for the kernel
// would panic and hide the reason.
func (a *agent) fail(err error) int {
	for _, p := range append(a.problems, err.Error()) {
		fmt.Fprintln(os.Stderr, channel.AgentMarker, p)
	}
	if os.Getpid() == 1 {
		a.powerOff()
	}
	return 1
}

// guarded runs f and has a panic of it named on the console.
func guarded(f func()) {
	defer confess()
	f()
}

// confess marks a panic on the console, where the host looks for the marker,
// and lets it take its course.
func confess() {
	if p := recover(); p != nil {
		fmt.Fprintf(os.Stderr, "%s panic: %v\n", channel.AgentMarker, p)
		panic(p)
	}
}
