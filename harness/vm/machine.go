// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	goqmp "github.com/digitalocean/go-qemu/qmp"
	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/vm/qmp"
)

// Sizes of the logs, in bytes; the beginning and the end are kept. The serial
// line makes about 0.1 MB/s.
const (
	serialHead, serialTail = 32 << 20, 32 << 20
	otherHead, otherTail   = 4 << 20, 4 << 20
)

// Machine is a QEMU that Start started. Its methods may be called from
// several goroutines at once.
type Machine struct {
	*process
	cfg     Config
	start   time.Time
	pid     int
	wrapper time.Duration // the CPU time that is not QEMU's
	monitor *qmp.Monitor
	console *Console
	channel net.Conn
	logs    []*evidenceFile

	signs    atomic.Uint64 // signs of life so far
	expected atomic.Bool   // a power-off is what we want
	kill     chan error    // why to end it
	done     chan struct{}

	// Set before done is closed.
	death error
	cpu   time.Duration
	rss   int64
}

// Start starts the machine and waits until its monitor answers, not longer.
// A QEMU that ends before that is reported as a Death. When ctx ends, the
// machine does. Wait need not be called, but somebody must end the machine:
// Shutdown, Kill or ctx. (It does end with this process, however that ends.)
func Start(ctx context.Context, cfg Config) (*Machine, error) {
	cfg, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	start := time.Now()
	p, err := spawn(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return take(ctx, cfg, p, start)
}

// take makes a machine of p and waits until its monitor answers.
func take(ctx context.Context, cfg Config, p *process, start time.Time) (*Machine, error) {
	m := &Machine{
		cfg: cfg, start: start, process: p,
		kill: make(chan error, 1), done: make(chan struct{}),
	}
	if err := m.openLogs(); err != nil {
		p.close()
		return nil, err
	}
	events, _ := m.monitor.Events(context.WithoutCancel(ctx)) // before Connect: not one is missed
	go m.console.read()
	m.pid = p.child.Pid()
	m.wrapper = cpuTime(p.child.Process.Pid)
	go m.watch(ctx, events, p.exited)

	// The monitor answers when all that the command line names is open.
	defer p.scratch()
	greeting, cancel := context.WithTimeout(ctx, qmp.DefaultTimeout)
	defer cancel()
	if _, err := m.monitor.ConnectContext(greeting); err != nil {
		// QEMU may be dead, or dying: that would be the better answer.
		if death := m.Fate(deathGrace); death != nil {
			return nil, death
		}
		m.end(err)
		return nil, m.Wait()
	}
	return m, nil
}

// The files of a machine in its folder.
const (
	cmdlineFile = "cmdline.txt"
	serialFile  = "serial.log"
	monitorFile = "qmp.jsonl"
	wordsFile   = "qemu.log"
	memoryFile  = "memory-" // and a number
)

// Leftovers are all names that a machine can leave in its folder, as patterns of
// filepath.Match; some only if its program was killed.
var Leftovers = []string{
	cmdlineFile, serialFile, monitorFile, wordsFile, serialFile + tailSuffix + "[01]", monitorFile + tailSuffix + "[01]", wordsFile + tailSuffix + "[01]",
	commandsFile, answersFile, consoleName + ".in", consoleName + ".out", memoryFile + "[0-9]*",
}

// openLogs makes the logs and has the connections write them.
func (m *Machine) openLogs() (err error) {
	defer func() {
		if err != nil {
			m.closeLogs()
		}
	}()
	line, err := ByHand(m.cfg)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.cfg.Dir, cmdlineFile), []byte(line+"\n"), 0o644); err != nil {
		return fmt.Errorf("machine's logs: %w", err)
	}
	if from := m.cfg.incoming; from != nil {
		for name, text := range map[string]string{commandsFile: from.commands(m.cfg.QEMU), answersFile: ""} {
			if err := os.WriteFile(filepath.Join(m.cfg.Dir, name), []byte(text), 0o644); err != nil {
				return fmt.Errorf("machine's logs: %w", err)
			}
		}
	}
	serial, err := m.log(serialFile, serialHead, serialTail)
	if err != nil {
		return err
	}
	messages, err := m.log(monitorFile, otherHead, otherTail)
	if err != nil {
		return err
	}
	words, err := m.log(wordsFile, otherHead, otherTail)
	if err != nil {
		return err
	}
	m.stderr.keepIn(words)
	m.monitor = qmp.New(m.ends.monitor)
	m.monitor.Log = &qmp.Log{W: messages, Start: m.start}
	m.console = newConsole(m.ends.screen, m.ends.keyboard, m.start, serial, m.Touch)
	m.channel = m.ends.channel
	return nil
}

func (m *Machine) log(name string, head, tail int64) (*evidenceFile, error) {
	f, err := createEvidence(filepath.Join(m.cfg.Dir, name), head, tail)
	if err != nil {
		return nil, fmt.Errorf("machine's logs: %w", err)
	}
	m.logs = append(m.logs, f)
	return f, nil
}

func (m *Machine) closeLogs() {
	for _, f := range m.logs {
		_ = f.Close()
	}
}

// LogErr is what kept the logs from being complete, a full disk for example.
func (m *Machine) LogErr() error {
	var errs *multierror.Error
	for _, f := range m.logs {
		if err := f.Err(); err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	return errs.ErrorOrNil()
}

// Channel is the host's end of the virtio-serial port PortName: a plain byte
// stream. What is written before the guest has opened its end waits there. It
// reads EOF when QEMU is gone; who uses it closes it.
func (m *Machine) Channel() net.Conn { return m.channel }

// Monitor is the QMP connection, as go-qemu's interface; it is a *qmp.Monitor.
func (m *Machine) Monitor() goqmp.Monitor { return m.monitor }

// Serial is the serial console.
func (m *Machine) Serial() *Console { return m.console }

// Start is when the machine started; offsets count from here.
func (m *Machine) Start() time.Time { return m.start }

// Dir is where its logs are.
func (m *Machine) Dir() string { return m.cfg.Dir }

// Pid is QEMU's process id; 0 if it never started.
func (m *Machine) Pid() int { return m.pid }

// Done is closed when QEMU is gone and the logs are closed.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Wait waits for Done. It gives nil for a power-off that was expected, else a
// Death.
func (m *Machine) Wait() error {
	<-m.done
	return m.death
}

// Fate waits at most within for the machine's death and gives it, or nil.
// For those whose connection broke: the panic that broke it is often a
// moment behind.
func (m *Machine) Fate(within time.Duration) error {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-m.done:
		return m.death
	case <-timer.C:
		return nil
	}
}

// Touch is a sign of life from the channel.
func (m *Machine) Touch() { m.signs.Add(1) }

var errKilled = errors.New("killed by its owner")

// Kill ends the machine at once; Wait then gives a *Canceled.
func (m *Machine) Kill() { m.end(errKilled) }

// End ends the machine at once because of why; Wait then gives a *Canceled
// with it.
func (m *Machine) End(why error) { m.end(why) }

// Discard ends the machine at once, as nobody needs it any more; that is a good
// end, if nothing ended it before.
func (m *Machine) Discard() error {
	m.end(errDiscarded)
	return m.Wait()
}

var errDiscarded = errors.New("no longer needed")

// end asks watch to end the machine because of why; the first one counts.
func (m *Machine) end(why error) {
	select {
	case m.kill <- why:
	default:
	}
}

// ExpectShutdown makes a power-off by the guest from now on a good end. To be
// called before the guest is asked for it.
func (m *Machine) ExpectShutdown() { m.expected.Store(true) }

// Shutdown waits for the guest to power itself off, and ends it when ctx
// ends first. Who asks the guest calls ExpectShutdown before that.
func (m *Machine) Shutdown(ctx context.Context) error {
	m.ExpectShutdown()
	select {
	case <-m.done:
	case <-ctx.Done():
		m.end(fmt.Errorf("the guest did not power itself off: %w", context.Cause(ctx)))
	}
	return m.Wait()
}
