// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe/calls"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// agent is what outlasts sessions.
type agent struct {
	problems []string // of the start
	children *children
	priority *priority
	// facts are the part of the hello that stays.
	facts func() channel.Hello
	// loopback brings up lo once somebody may want it: 20 ms of a boot.
	loopback func() error

	mu     sync.Mutex
	loads  map[int]*load.Process
	nextID int

	ring     int // size of a watch's
	watching sync.Mutex
	watch    *watch // nil: nobody watches
	gate     sampler.Gate
	calls    *calls.Tracer

	late    latenessWatch
	virtual bool // time goes by instructions
}

func newAgent() *agent {
	p := new(priority)
	return &agent{calls: calls.New(calls.Options{Run: p.ordinarily}), children: newChildren(p), priority: p, facts: sync.OnceValue(facts), loopback: sync.OnceValue(bringUpLoopback), loads: map[int]*load.Process{}, ring: ringSize}
}

// try notes what went wrong; the host hears of it in the hello.
func (a *agent) try(err error) {
	if err == nil {
		return
	}
	if many, ok := err.(*multierror.Error); ok {
		for _, err := range many.Errors {
			a.problems = append(a.problems, err.Error())
		}
		return
	}
	a.problems = append(a.problems, err.Error())
}

// capabilities are found by looking for a file; cheap, as a boot pays for it.
var capabilities = []struct{ name, file string }{
	{"livepatch", "/sys/kernel/livepatch"},
	{"patch_state", "/proc/self/patch_state"},
	{"task_stack", "/proc/self/stack"},
	{"tracefs", "/sys/kernel/tracing/trace_pipe"},
	{"function_tracer", "/sys/kernel/tracing/set_ftrace_filter"},
	{"debugfs", "/sys/kernel/debug/fault_around_bytes"},
	{"dynamic_debug", "/proc/dynamic_debug/control"},
	{"btf", "/sys/kernel/btf/vmlinux"},
	{"kmsg", "/dev/kmsg"},
	{"cgroup2", "/sys/fs/cgroup/cgroup.procs"},
	{"userfaultfd", "/proc/sys/vm/unprivileged_userfaultfd"},
}

// hello answers a greeting. The first answer of a fork is waited for, and
// what it needs is done before the save: only what may differ is said again,
// and the watchers stand still until they are asked for.
func (a *agent) hello(g channel.Greeting) channel.Hello {
	h := a.facts()
	switch {
	case g.Parking():
		a.gate.Shut()
		a.try(openRandom())
	case g.Wall > 0:
		h = channel.Hello{Release: h.Release, BootID: h.BootID}
		if err := wake(g); err != nil {
			h.Problems = []string{err.Error()}
		}
	default:
		h.Problems = a.problems
	}
	h.UptimeNS = monotonic()
	return h
}

func facts() channel.Hello {
	h := channel.Hello{Capabilities: map[string]bool{}, Config: map[string]string{}}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Release, h.Machine = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	}
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		h.BootID = string(bytes.TrimSpace(b))
	}
	for _, c := range capabilities {
		h.Capabilities[c.name] = unix.Access(c.file, unix.F_OK) == nil
	}
	if b, err := os.ReadFile("/proc/cmdline"); err == nil {
		for word := range strings.FieldsSeq(string(b)) {
			if name, value, _ := strings.Cut(word, "="); strings.HasPrefix(name, "switchyard.") {
				h.Config[name] = value
			}
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		h.Config["memory_kib"] = strconv.FormatUint(info.Totalram*uint64(info.Unit)>>10, 10)
	}
	if b, err := os.ReadFile("/sys/devices/system/cpu/online"); err == nil {
		h.Config["cpus"] = string(bytes.TrimSpace(b))
	}
	return h
}

// monotonic is CLOCK_MONOTONIC in ns.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}
