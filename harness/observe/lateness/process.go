// SPDX-License-Identifier: Apache-2.0

package lateness

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Launcher starts and reaps processes; the agent has its own, being init.
type Launcher interface {
	Start(*exec.Cmd) error
	Wait(*exec.Cmd) error
}

// Process is the probe while it runs.
type Process struct {
	*Slab
	memory []byte
	cmd    *exec.Cmd
	ended  chan struct{}
	once   sync.Once
	cost   int64
}

// Start starts the probe on CPUs 0 to cpus-1, counting to no window yet: program,
// this very one.
func Start(program string, cpus int, by Launcher) (*Process, error) {
	fd, err := unix.MemfdCreate("switchyard-lateness", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("start the probe: %w", err)
	}
	shared := os.NewFile(uintptr(fd), "lateness")
	defer shared.Close()
	if err := shared.Truncate(int64(Size(cpus))); err != nil {
		return nil, fmt.Errorf("start the probe: %w", err)
	}
	memory, err := unix.Mmap(fd, 0, Size(cpus), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("start the probe: %w", err)
	}
	p := &Process{memory: memory, ended: make(chan struct{})}
	if p.Slab, err = NewSlab(memory, cpus); err == nil {
		p.cmd = &exec.Cmd{Path: program, Args: []string{ProcessName}, Env: Environment, Stderr: os.Stderr, ExtraFiles: []*os.File{shared}}
		err = by.Start(p.cmd)
	}
	if err != nil {
		_ = unix.Munmap(memory)
		return nil, fmt.Errorf("start the probe: %w", err)
	}
	// Before all loads, or they keep it from starting. What is not allowed here
	// (outside of a guest) is no matter.
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -20}
	_ = unix.SchedSetAttr(p.PID(), &attr, 0)
	go func() { _ = by.Wait(p.cmd); close(p.ended) }() // it is killed, or its slab shows why it gave up
	return p, nil
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CostNS is the CPU time it has taken so far.
func (p *Process) CostNS() int64 {
	var used unix.Timespec
	// The CPU clock of another process: ~pid << 3 | CPUCLOCK_SCHED.
	if unix.ClockGettime(int32(^p.PID()<<3|2), &used) == nil {
		p.cost = used.Nano()
	}
	return p.cost
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// stopPatience bounds the wait for the end of a process that was killed: what a
// patch does may keep it in the kernel for good.
const stopPatience = 30 * time.Second

// Stop ends the process. Its slab must not be used any more.
func (p *Process) Stop() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		select {
		case <-p.ended:
		case <-time.After(stopPatience):
		}
		_ = unix.Munmap(p.memory) // which is ours alone
	})
}
