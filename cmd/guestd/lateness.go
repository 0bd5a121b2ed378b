// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

// The second witness, a kernel module (harness/run/pulse).
const (
	timerSlab   = "/sys/kernel/debug/switchyard_pulse/slab"
	timerWindow = "/sys/module/switchyard_pulse/parameters/window"
)

// Times of the guest's own clock.
const (
	// probePatience is how long the probe may take to its first deadline.
	probePatience = 15 * time.Second
	// latePatience is how long a window's end may wait for a witness that is
	// still late from before: it is told what had come until then.
	latePatience = 50 * time.Millisecond
	lateEvery    = time.Millisecond
)

// latenessWatch is the two witnesses of how late who must run at once runs,
// while they count.
type latenessWatch struct {
	mu     sync.Mutex
	probe  *lateness.Process
	timer  bool
	window int // the open one
	since  int64
	pieces [5]piece // by window
	told   map[string]int64
}

// piece is what there was of a window so far, by the guest's clock.
type piece struct{ from, to, open int64 }

func (a *agent) latenessCalls() map[string]channel.Handler {
	return map[string]channel.Handler{
		"lateness.start": channel.Answer(func(_ context.Context, in channel.StartLateness) (none, error) {
			return none{}, a.startLateness(in.Timer)
		}),
		"lateness.window": channel.Answer(func(_ context.Context, in channel.LatenessWindow) (none, error) {
			return none{}, a.latenessWindow(in.Name)
		}),
		"pause": channel.Answer(func(_ context.Context, in channel.PauseRequest) (none, error) {
			pause(time.Duration(in.NS))
			return none{}, nil
		}),
		"lateness.stop": channel.Answer(func(context.Context, none) (none, error) { return none{}, a.stopLateness() }),
	}
}

// startLateness opens the first window, once the probe runs on all CPUs.
func (a *agent) startLateness(timer bool) error {
	l := &a.late
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probe != nil {
		return errors.New("lateness is measured already")
	}
	probe, err := lateness.Start("/proc/self/exe", runtime.NumCPU(), a.children)
	if err != nil {
		return err
	}
	for until := monotonic() + int64(probePatience); monotonic() < until && !settled(probe.Slab); {
		pause(lateEvery)
	}
	if !begun(probe.Slab) {
		// Where it finds no time to start, it would be in the way of everything
		// else.
		probe.Stop()
		return fmt.Errorf("the probe did not come to run within %v", probePatience)
	}
	if timer {
		if err := setTimerWindow(0); err != nil {
			probe.Stop()
			return err
		}
	}
	probe.SetWindow(0)
	l.probe, l.timer, l.window, l.since, l.pieces, l.told = probe, timer, 0, monotonic(), [5]piece{}, map[string]int64{}
	return nil
}

// begun says whether the probe runs on any CPU, or has given up there, which is
// told.
func begun(s *lateness.Slab) bool {
	return slices.ContainsFunc(cpusOf(s), func(cpu int) bool { return s.Armed(cpu) >= 0 || s.Error(cpu) != 0 })
}

// settled says whether the probe runs on each CPU, or has given up there.
func settled(s *lateness.Slab) bool {
	for cpu := range s.CPUs() {
		if s.Armed(cpu) < 0 && s.Error(cpu) == 0 {
			return false
		}
	}
	return true
}

// latenessWindow closes the open window, tells of it, and opens another.
func (a *agent) latenessWindow(name string) error {
	next := slices.Index(lateness.Windows, name)
	if next < 0 {
		return fmt.Errorf("no window is called %q", name)
	}
	l := &a.late
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probe == nil {
		return errors.New("lateness is not measured")
	}
	if next == l.window {
		return nil
	}
	l.probe.SetWindow(next)
	if l.timer {
		if err := setTimerWindow(next); err != nil {
			return err
		}
	}
	left := l.window
	l.close()
	l.window = next
	return a.tellLateness(left)
}

// stopLateness closes the open window and tells what came since others were
// told.
func (a *agent) stopLateness() error {
	l := &a.late
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.probe == nil {
		return nil
	}
	l.close()
	var err error
	for window, p := range l.pieces {
		if p.to > 0 && err == nil {
			err = a.tellLateness(window)
		}
	}
	l.probe.Stop()
	l.probe = nil
	return err
}

// close ends a piece of the open window.
func (l *latenessWatch) close() {
	now := monotonic()
	p := &l.pieces[l.window]
	if p.from == 0 {
		p.from = l.since
	}
	p.to, p.open = now, p.open+now-l.since
	l.since = now
}

func setTimerWindow(window int) error {
	// The file is there from the module's load on, so it is no new one.
	if err := os.WriteFile(timerWindow, []byte(strconv.Itoa(window)), 0); err != nil {
		return fmt.Errorf("the timer's window: %w", err)
	}
	return nil
}

// tellLateness tells of a window that has ended, as far as there is news.
func (a *agent) tellLateness(window int) error {
	l := &a.late
	late := func(s *lateness.Slab, cpu int) bool {
		return window != l.window && s.Armed(cpu) == window && s.Error(cpu) == 0
	}
	for until := monotonic() + int64(latePatience); monotonic() < until; pause(lateEvery) {
		if !slices.ContainsFunc(cpusOf(l.probe.Slab), func(cpu int) bool { return late(l.probe.Slab, cpu) }) {
			break
		}
	}
	cost := l.probe.CostNS()
	a.emitLateness(observe.ProbeWitness, window, l.probe.Slab, late, cost)
	if !l.timer {
		return nil
	}
	memory, err := os.ReadFile(timerSlab)
	if err != nil {
		return fmt.Errorf("read what the timer counted: %w", err)
	}
	slab, err := lateness.OpenSlab(memory)
	if err != nil {
		return fmt.Errorf("read what the timer counted: %w", err)
	}
	a.emitLateness(observe.TimerWitness, window, slab, late, 0)
	return nil
}

func cpusOf(s *lateness.Slab) (all []int) {
	for cpu := range s.CPUs() {
		all = append(all, cpu)
	}
	return all
}

func (a *agent) emitLateness(witness string, window int, slab *lateness.Slab, late func(*lateness.Slab, int) bool, cost int64) {
	l := &a.late
	for _, cpu := range cpusOf(slab)[:min(slab.CPUs(), l.probe.CPUs())] { // the module has CPUs that may come
		r := slab.Read(window, cpu)
		key := fmt.Sprint(witness, window, cpu)
		if n, told := l.told[key]; told && n == r.Count && l.window != window {
			continue
		}
		l.told[key] = r.Count
		p := l.pieces[window]
		e := &observe.Lateness{
			Witness: witness, Window: lateness.Windows[window], CPU: cpu,
			FromNS: p.from, ToNS: p.to, OpenNS: p.open, PeriodNS: int64(lateness.Period),
			Missed: r.Missed, LongestNS: r.LongestNS, Histogram: r.Histogram,
			Stuck: late(slab, cpu), CostNS: cost,
		}
		if !a.virtual {
			e.Latest, e.UnkeptNS = r.Kept, r.UnkeptNS
		}
		if n := slab.Error(cpu); n != 0 {
			e.Error = unix.Errno(n).Error()
		}
		a.watching.Lock()
		if a.watch != nil {
			a.watch.ring.Emit(observe.Event{T: monotonic(), Kind: observe.KindLateness, Lateness: e})
		}
		a.watching.Unlock()
	}
}

// beginLateness, in a plan, has what comes before the first patch be measured.
func (c *conduct) beginLateness() error {
	if c.plan.Lateness == nil {
		return nil
	}
	if err := c.startLateness(c.plan.Lateness.Timer); err != nil {
		return err
	}
	c.settle()
	return nil
}

func (c *conduct) endLateness() error { return c.stopLateness() }

// lateWindow opens a window, if the plan has any.
func (c *conduct) lateWindow(name string) error {
	if c.plan.Lateness == nil {
		return nil
	}
	return c.latenessWindow(name)
}

// settle lets time go by in which nothing but the loads runs.
func (c *conduct) settle() {
	if c.plan.Lateness != nil {
		pause(time.Duration(c.plan.Lateness.SettleNS))
	}
}
