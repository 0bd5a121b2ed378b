// SPDX-License-Identifier: Apache-2.0

package load

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// ProcessName is argv[0] of a load's process: main must call Main when it
// finds it there. It is not an ordinary argument because the kernel hands
// words of its command line to init.
const ProcessName = "switchyard-load"

// Launcher starts and reaps processes; the agent has its own, being init.
type Launcher interface {
	Start(*exec.Cmd) error
	Wait(*exec.Cmd) error
}

// Process is a load running in a process of its own. Apart from the agent,
// because the agent's threads are real-time and a load's must not be, because
// Go's scheduler knows no priorities, and because a load may be killed.
type Process struct {
	Spec    Spec
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	stopped sync.Once
	stuck   bool // it did not end in the time that Stop had

	mu      sync.Mutex
	counter *Counter // nil once last is set
	latency latencyReader
	last    observe.Load
}

// Start runs spec in a process of its own: program, this very one.
func Start(spec Spec, program string, by Launcher) (*Process, error) {
	l, err := Find(spec.Name)
	if err != nil {
		return nil, err
	}
	if spec.N == 0 {
		spec.N = l.N
	}
	if spec.N < 1 || spec.N > MaxWorkers {
		return nil, fmt.Errorf("load %s: %d workers, from 1 to %d are possible", spec.Name, spec.N, MaxWorkers)
	}
	if _, err := newContentCheck(spec); err != nil {
		return nil, fmt.Errorf("load %s: %w", spec.Name, err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("switchyard-counter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load %s: share the counters: %w", spec.Name, err)
	}
	shared := os.NewFile(uintptr(fd), "counter")
	defer shared.Close()
	if err := shared.Truncate(int64(counterSize)); err != nil {
		return nil, fmt.Errorf("load %s: share the counters: %w", spec.Name, err)
	}
	counter, err := mapCounter(shared)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", spec.Name, err)
	}
	p := &Process{Spec: spec, counter: counter, done: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: program, Args: []string{ProcessName, string(text)}, Env: []string{},
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{shared},
		// A group, so that what a load starts ends with it.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := by.Start(p.cmd); err != nil {
		counter.close()
		return nil, fmt.Errorf("load %s: %w", spec.Name, err)
	}
	go func() {
		_ = by.Wait(p.cmd) // how it ended shows in the counters and in Dead
		close(p.done)
	}()
	return p, nil
}

// Read gives the counters; after Stop, the last ones.
func (p *Process) Read() observe.Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counter == nil {
		return p.last
	}
	out := observe.Load{Name: p.Spec.Name, N: p.Spec.N, Ops: p.counter.Ops(), Errors: p.counter.Errors(), FirstError: p.counter.FirstError()}
	select {
	case <-p.done:
		out.Dead = true
	default:
	}
	return out
}

// Reading is Read with the latency of what was done since Reading was called
// before.
func (p *Process) Reading() observe.Load {
	out := p.Read()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counter != nil {
		out.Latency = p.latency.next(&p.counter.m.latency)
	}
	return out
}

// stopPatience is how long a load gets to end by itself.
const stopPatience = 3 * time.Second

// Stop ends the load and gives its last counters. A task of it that is stuck
// in the kernel is not waited for beyond ctx; past a deadline of ctx's that is a
// wrong result.
func (p *Process) Stop(ctx context.Context) observe.Load {
	before := p.Read()
	p.stopped.Do(func() {
		// Not the group yet: a child that died of our signal would count as
		// a wrong result.
		_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
		patience, cancel := context.WithTimeout(ctx, stopPatience)
		defer cancel()
		select {
		case <-p.done:
		case <-patience.Done():
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // stragglers as well
		select {
		case <-p.done:
		case <-ctx.Done():
			p.stuck = errors.Is(ctx.Err(), context.DeadlineExceeded)
		}
	})
	last := p.Read()
	last.Dead = before.Dead // only a death of its own accord counts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counter != nil {
		if p.stuck {
			last.Errors++
			last.FirstError = cmp.Or(last.FirstError, "it was killed and did not end: a task of it is stuck in the kernel")
		}
		p.counter.close()
		p.counter, p.last = nil, last
	}
	return p.last
}

// Main is the load's process: args are those of the program, descriptor 3
// the counter. It returns the exit status.
func Main(args []string) int {
	var spec Spec
	if len(args) != 2 || json.Unmarshal([]byte(args[1]), &spec) != nil {
		return 2
	}
	counter, err := mapCounter(os.NewFile(3, "counter"))
	if err != nil {
		return 2
	}
	unix.CloseOnExec(3)
	nameThreads("load-" + spec.Name)
	// Enough that Go's scheduler is never what a worker waits for.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), 2))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	l, err := Find(spec.Name)
	if err != nil {
		counter.Wrong("%v", err)
		return 2
	}
	if spec.RestNS > 0 {
		timing.rest = spec.RestNS
	}
	timing.stagger = spec.StaggerNS
	if err := l.Body(ctx, counter, spec); err != nil {
		counter.Wrong("the load cannot go on: %v", err)
		return 1
	}
	return 0
}

// nameThreads gives all threads a name that tells in a list of blockers what
// they are; those to come inherit it. At most 15 bytes are kept.
func nameThreads(name string) {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		_ = os.WriteFile("/proc/self/task/"+t.Name()+"/comm", []byte(name), 0)
	}
}
