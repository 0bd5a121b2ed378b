// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	goqmp "github.com/digitalocean/go-qemu/qmp"
)

const (
	// panicGrace is how long a guest may take from GUEST_PANICKED to its end:
	// the rest of the report at the speed of a serial line, on a loaded host.
	panicGrace = 10 * time.Second
	// deathGrace bounds every wait for a second witness of a death.
	deathGrace = 5 * time.Second
	// stuckGrace is how long a QEMU that was killed may take to be gone. It may be
	// stuck in the host's kernel; who waits for the machine must not be.
	stuckGrace = time.Minute
	// silenceTicks is how often Silence is looked at. Ticks are counted, not
	// time, because time passes while this whole process is stopped.
	silenceTicks = 20
	// pokeQuiet after its last line, a guest has said all it has to an NMI.
	pokeQuiet = 200 * time.Millisecond
	// keptEvents bounds the events in the evidence.
	keptEvents = 100
)

// watch is the one place that sees everything that can end a machine, and
// decides how it died.
func (m *Machine) watch(ctx context.Context, events <-chan goqmp.Event, exited <-chan error) {
	e := &Evidence{Dir: m.cfg.Dir}
	var (
		ended    error // why we ended it, if we did
		panicked bool
		reason   string // of the SHUTDOWN event
		// of the guest's console before we examined a silent one
		lastWords string
		paused    bool
		grace     <-chan time.Time
		deadline  <-chan time.Time
		tick      <-chan time.Time
		quiet     int
		signs     uint64
		stuck     <-chan time.Time
	)
	end := func(why error) {
		if ended == nil {
			ended = why
			m.child.Kill()
			stuck = time.After(stuckGrace)
		}
	}
	if !m.cfg.Deadline.IsZero() {
		t := time.NewTimer(time.Until(m.cfg.Deadline))
		defer t.Stop()
		deadline = t.C
	}
	if m.cfg.Silence > 0 {
		t := time.NewTicker(max(m.cfg.Silence/silenceTicks, time.Millisecond))
		defer t.Stop()
		tick = t.C
	}
	note := func(event goqmp.Event) {
		if m.cfg.Heard != nil {
			m.cfg.Heard(event)
		}
		e.Events = append(e.Events, event)
		e.Events = e.Events[max(0, len(e.Events)-keptEvents):]
		switch event.Event {
		case "GUEST_PANICKED":
			panicked = true
			if grace == nil {
				grace = time.After(panicGrace)
			}
		case "SHUTDOWN":
			reason, _ = event.Data["reason"].(string)
		case "STOP":
			paused = true
		case "RESUME":
			paused = false
		}
	}
	var exit error
	for alive := true; alive; {
		select {
		case exit = <-exited:
			alive = false
		case <-stuck:
			alive, exit = false, errStuck
		case event, open := <-events:
			if open {
				note(event)
				continue
			}
			// QEMU closes its monitor when it ends; give it that moment.
			events = nil
			if grace == nil {
				grace = time.After(deathGrace)
			}
		case <-grace:
			grace = nil
			if panicked {
				end(errPanicked)
			} else {
				end(fmt.Errorf("its monitor is lost: %w", m.monitor.Err()))
			}
		case <-tick:
			if now := m.signs.Load(); now != signs || paused {
				signs, quiet = now, 0
				continue
			}
			if quiet++; quiet >= silenceTicks && ended == nil {
				m.inspect(ctx)
				lastWords = m.console.lastLine() // what follows is our own doing
				e.Registers = m.examine(ctx)
				end(errSilent)
			}
		case <-deadline:
			m.inspect(ctx)
			end(errLate)
		case <-ctx.Done():
			end(&canceled{context.Cause(ctx)})
			ctx = context.WithoutCancel(ctx) // once is enough
		case why := <-m.kill:
			end(&canceled{why})
		}
	}
	m.gather(e, events, note)
	e.Hint = hint(e, m.cfg.MemMiB, errors.Is(ended, errSilent))
	m.death = m.judge(e, verdict{
		exit: exit, ended: ended, panicked: panicked, reason: reason, lastWords: lastWords,
	})
	if exit == errStuck {
		m.closeLogs()
	} else {
		m.settle()
	}
	close(m.done)
}

// Why a machine was ended by watch itself.
var (
	errPanicked = errors.New("panicked and hung")
	errSilent   = errors.New("silent")
	errLate     = errors.New("late")
	errStuck    = errors.New("stuck in the kernel")
)

type canceled struct{ error }

func (c *canceled) Unwrap() error { return c.error }

// InspectFor bounds Config.Inspect, in host time: it reads the image's types
// and walks over the guest's memory, on a loaded host.
const InspectFor = time.Minute

// inspect lets the machine's user look at it. What is asked of QEMU is bounded,
// for QEMU itself may hang.
func (m *Machine) inspect(ctx context.Context) {
	if m.cfg.Inspect == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, InspectFor)
	defer cancel()
	asked, done := context.WithTimeout(ctx, deathGrace)
	defer done()
	var registers string
	args := map[string]string{"command-line": "info registers -a"}
	if m.monitor.Execute(asked, "human-monitor-command", args, &registers) != nil {
		return
	}
	m.cfg.Inspect(ctx, m, registers)
}

// examine asks QEMU, from outside, what a silent guest is doing, and pokes it
// with an NMI: a kernel that can still print will say so on the console. All
// of it bounded, for QEMU itself may hang.
func (m *Machine) examine(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, deathGrace)
	defer cancel()
	var registers string
	args := map[string]string{"command-line": "info registers -a"}
	if m.monitor.Execute(ctx, "human-monitor-command", args, &registers) != nil {
		return ""
	}
	lines := m.console.Subscribe(ctx)
	for range len(lines) {
		<-lines // those already there
	}
	if m.NMI(ctx) != nil {
		return registers
	}
	for wait := time.Second; ; wait = pokeQuiet { // for the first line, then for the rest
		select {
		case _, open := <-lines:
			if open {
				continue
			}
		case <-time.After(wait):
		}
		return registers
	}
}

// gather completes the evidence once the process is gone. Its sockets end
// with it; that they do is awaited, with a bound, for what is still in them.
func (m *Machine) gather(e *Evidence, events <-chan goqmp.Event, note func(goqmp.Event)) {
	e.After = time.Since(m.start)
	timeout := make(chan struct{}) // closed, and not sent to once: two wait for it
	defer time.AfterFunc(deathGrace, func() { close(timeout) }).Stop()
	for events != nil {
		select {
		case event, open := <-events:
			if open {
				note(event)
			} else {
				events = nil
			}
		case <-timeout:
			events = nil
		}
	}
	select {
	case <-m.console.done:
	case <-timeout:
	}
	e.Console, e.Omitted = m.console.Lines(keptLines)
	e.Stderr = m.stderr.String()
}

// verdict is what watch knows beside the evidence.
type verdict struct {
	exit     error  // of the process
	ended    error  // why we ended it; nil if we did not
	panicked bool   // GUEST_PANICKED came
	reason   string // of SHUTDOWN, "" if none came
	// lastWords were the last line on the console when it fell silent.
	lastWords string
}

// judge tells the deaths apart. The order is from what is certain to what is
// left: a guest that has panicked does many things afterwards, and a process
// that we killed died of a signal, too.
// https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (ShutdownCause)
func (m *Machine) judge(e *Evidence, v verdict) error {
	words := m.console.lastWords()
	status, signal := exitOf(v.exit)
	var purpose *canceled
	clean := v.ended == nil && signal == 0
	switch {
	case errors.As(v.ended, &purpose) && errors.Is(purpose.error, errDiscarded) && !v.panicked:
		return nil
	case errors.As(v.ended, &purpose):
		return &Canceled{Evidence: e, Err: purpose.error}
	case v.panicked,
		words != "" && clean && v.reason == "guest-reset",
		words != "" && errors.Is(v.ended, errSilent):
		return &GuestPanic{Evidence: e, Reason: words}
	case clean && status == 0 && v.reason == "guest-shutdown":
		if m.expected.Load() {
			return nil
		}
		return &GuestShutdown{Evidence: e}
	case clean && v.reason == "guest-reset":
		return &GuestReset{Evidence: e}
	case errors.Is(v.ended, errSilent):
		return &Silence{Evidence: e, For: m.cfg.Silence, LastWords: v.lastWords}
	case errors.Is(v.ended, errLate):
		return &DeadlineExceeded{Evidence: e}
	case v.ended != nil:
		return &QEMUExit{Evidence: e, Status: -1, Reason: v.ended.Error()}
	case signal != 0:
		killed := &QEMUKilled{Evidence: e, Signal: signal}
		if signal == syscall.SIGBUS {
			killed.Err = m.cfg.full()
		}
		return killed
	case v.reason == "host-signal":
		return &QEMUKilled{Evidence: e}
	}
	return &QEMUExit{Evidence: e, Status: status}
}

// exitOf reads the status of the wrapper, which is the one a shell would give
// for QEMU: 128 and the signal's number.
func exitOf(err error) (status int, signal syscall.Signal) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return -1, 0
		}
		return 0, 0
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, ws.Signal() // the wrapper itself, and QEMU with it
	}
	if status = exit.ExitCode(); status > 128 {
		return status, syscall.Signal(status - 128)
	}
	return status, 0
}
