// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/vm"
)

// How a guest can start.
const (
	StartCold = "cold" // it was booted
	StartFork = "fork" // it goes on where a snapshot was taken
)

// Origin is what a guest started from.
type Origin struct {
	Start string
	// Snapshot is the name of the snapshot of a fork, Age how old that was by
	// the host's wall clock.
	Snapshot string
	Age      time.Duration
	// Failures are why snapshots could not be made or did not come up, before
	// one did or a cold boot took its place.
	Failures []string
}

// Snapshot is a guest at one moment.
type Snapshot struct {
	*vm.Snapshot
	machine vm.Config
	cfg     GuestConfig
	past    observe.Timeline // what the guest had seen
}

// pastFile is the guest's timeline up to a snapshot, in the snapshot's folder.
const pastFile = "past.jsonl"

// forkTimeout is how long a fork may take to its first answer, in host time: a
// snapshot that does not fit its machine hangs without a word. Most answer in
// 0.05 s.
const forkTimeout = 20 * time.Second

// forkTries is how many snapshots in a row may fail to come up before the
// guest is booted.
const forkTries = 2

// forkGolden forks the golden snapshot of this machine. One that does not come
// up is thrown away and made again once; a guest that cannot be forked is
// booted.
func (y *Yard) forkGolden(ctx context.Context, cfg GuestConfig, machine vm.Config) (*Guest, error) {
	var failures []string
	for range forkTries {
		s, err := y.golden(ctx, cfg, machine)
		if err == nil {
			var g *Guest
			if g, err = y.fork(ctx, s, cfg); err == nil {
				g.Origin.Failures = failures
				return g, nil
			}
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		var unfit *vm.SnapshotError
		isUnfit := errors.As(err, &unfit)
		switch {
		case isUnfit && unfit.Foreign, s != nil && fatal(err):
			return nil, err
		case s != nil && !blameless(err):
			y.forget(ctx, s)
		}
		failures = append(failures, err.Error())
		if s == nil && !isUnfit { // a second try would fail as this did
			break
		}
	}
	g, err := y.boot(ctx, cfg, machine)
	if err == nil {
		g.Origin.Failures = failures
		err = g.layOrClose(ctx, cfg.Layer)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// fork starts a guest that goes on where s was taken, in cfg.Dir.
func (y *Yard) fork(ctx context.Context, s *Snapshot, cfg GuestConfig) (*Guest, error) {
	machine := s.machine
	machine.Dir, machine.Silence, machine.Deadline = cfg.Dir, cfg.Silence, cfg.Deadline
	return y.forkOn(ctx, s, cfg, machine)
}

// forkOn is fork on a machine with logs, and perhaps a memory, of its own.
func (y *Yard) forkOn(ctx context.Context, s *Snapshot, cfg GuestConfig, machine vm.Config) (*Guest, error) {
	g, err := newGuest(cfg, machine)
	if err != nil {
		return nil, err
	}
	g.Origin = Origin{Start: StartFork, Snapshot: filepath.Base(s.Dir), Age: time.Since(s.SavedAt)}
	if err := g.goOn(ctx, y, s); err != nil {
		_ = g.Close(context.WithoutCancel(ctx))
		keepAside(machine.Dir)
		return nil, fmt.Errorf("fork %s: %w", s.Dir, err)
	}
	return g, nil
}

func (g *Guest) goOn(ctx context.Context, y *Yard, s *Snapshot) error {
	since := uint64(0)
	for _, e := range s.past {
		since = max(since, e.Seq)
		if err := g.rec.add(e); err != nil {
			return err
		}
	}
	began := time.Now()
	machine, err := y.revive(ctx, s, g.config)
	if err != nil {
		return err
	}
	timeout := y.forkTimeout
	if s.Paused { // of a busy guest, and nothing can take its place
		timeout = DefaultBootTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v", timeout))
	defer cancel()
	if s.Paused {
		if err := machine.Cont(ctx); err != nil {
			machine.End(err)
			machine.Channel().Close()
			_ = machine.Wait()
			return err
		}
	}
	greeting := channel.Greeting{Wall: time.Now().UnixNano()}
	_, _ = rand.Read(greeting.Nonce[:]) // never fails
	if err := g.greet(ctx, machine, greeting, began); err != nil {
		return err
	}
	if err := g.watch(ctx, since); err != nil {
		return err
	}
	if !g.config.RAM.Shared && !s.Paused { // a moment of a run is soon gone
		y.pool.refill(s)
	}
	return nil
}

// revive makes a machine of s, from a QEMU that waits for it if there is one.
// That may have died while it waited, of which the snapshot is innocent.
func (y *Yard) revive(ctx context.Context, s *Snapshot, machine vm.Config) (*vm.Machine, error) {
	if !machine.RAM.Shared { // those that wait have none of their own
		if w := y.pool.take(s); w != nil {
			m, err := w.Fork(ctx, machine)
			if err == nil || ctx.Err() != nil || fatal(err) {
				return m, err
			}
		}
	}
	w, err := s.Ready(ctx, machine)
	if err != nil {
		return nil, err
	}
	return w.Fork(ctx, machine)
}

// fatal says whether err would keep a cold boot from working as well: no room
// for the evidence, no time.
func fatal(err error) bool {
	var late *vm.DeadlineExceeded
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.As(err, &late)
}

// blameless says whether err tells nothing against the snapshot: somebody, or
// the host when it ran out of memory, killed the fork.
func blameless(err error) bool {
	var killed *vm.QEMUKilled
	return errors.As(err, &killed) && killed.Signal == syscall.SIGKILL
}

// keepAside moves what a failed fork left in dir out of the way of the next
// start.
func keepAside(dir string) {
	aside, err := os.MkdirTemp(dir, failedForks)
	if err != nil {
		return
	}
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		if !f.IsDir() && f.Name() != observe.RunFile { // which goes on
			_ = os.Rename(filepath.Join(dir, f.Name()), filepath.Join(aside, f.Name()))
		}
	}
}

// Snapshot takes a snapshot of the guest at this moment: loads running, a
// transition half done. The guest stands still while its memory is written (a
// tenth of a second on a quiet host) and goes on.
func (g *Guest) Snapshot(ctx context.Context, dir string) (*Snapshot, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The past ends where the guest stands still: what it says afterwards is
	// its own future and none of its forks'.
	var past observe.Timeline
	s, err := g.Machine.Snapshot(ctx, dir, func() { past = guestEvents(g.Timeline()) })
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", g.Kit.Release, g.orDeath(err))
	}
	return g.remember(s, past)
}

// remember adds to s what the guest had seen. What it saw and had not yet
// told, its forks tell.
func (g *Guest) remember(s *vm.Snapshot, past observe.Timeline) (*Snapshot, error) {
	log, err := observe.Create(filepath.Join(s.Dir, pastFile), 0)
	if err != nil {
		return nil, err
	}
	for _, e := range past {
		if err := log.Append(e); err != nil {
			break // Close has it
		}
	}
	machine := g.config
	machine.RAM = vm.RAM{}
	return &Snapshot{
		Snapshot: s, machine: machine, past: past,
		cfg: GuestConfig{Kit: g.Kit, CPUs: g.CPUs, MemMiB: g.MemMiB},
	}, log.Close()
}

// guestEvents are those by the guest's clock, which goes on in a fork.
func guestEvents(all observe.Timeline) (past observe.Timeline) {
	for _, e := range all {
		if e.Clock == observe.Guest && e.Kind != observe.KindOffset {
			past = append(past, e)
		}
	}
	return past
}

// Fork starts a guest that goes on where s was taken. It counts among the
// machines at once unless it is a Companion; of cfg only Dir, Silence,
// Deadline and Companion count.
func (y *Yard) Fork(ctx context.Context, s *Snapshot, cfg GuestConfig) (*Guest, error) {
	own := s.cfg
	own.Dir, own.Silence, own.Deadline = cfg.Dir, cfg.Silence, cfg.Deadline
	if err := os.MkdirAll(own.Dir, 0o755); err != nil {
		return nil, err
	}
	release := func() {}
	if !cfg.Companion {
		var err error
		if release, err = y.token(ctx, s.machine.Accel); err != nil {
			return nil, err
		}
	}
	g, err := y.fork(ctx, s, own)
	if err != nil {
		release()
		return nil, err
	}
	g.release = release
	return g, nil
}

// Title is the origin in a word or two, for people.
func (o Origin) Title() string {
	if o.Start != StartFork {
		return o.Start
	}
	return strings.TrimSpace(fmt.Sprintf("fork of a snapshot %v old", o.Age.Round(time.Second)))
}
