// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

const stepCarryOut = "carry out the plan"

// Deterministic carries out a plan as Run does, by virtual time: with the same
// kernel, image, modules and QEMU a seed gives the same timeline to the byte.
// The seed moves what may move, see vary; it must not be negative. Times in
// the result are exact, and say nothing of how fast a real machine is.
//
// The guest has one virtual CPU, always emulated. Errors: as Run.
func (y *Yard) Deterministic(ctx context.Context, p Plan, seed int64) (report.Run, error) {
	x := newRehearsal(y, p)
	err := x.open()
	if err == nil {
		err = x.prepare(ctx)
	}
	if err == nil {
		err = x.rehearse(ctx, seed, x.forkMailbox)
	}
	return x.close(err)
}

func newRehearsal(y *Yard, p Plan) *execution {
	if p.Expected == "" {
		p.Expected = check.VerdictComplete
	}
	if p.StallAfter == 0 {
		p.StallAfter = DefaultStallAfter
	}
	return &execution{Plan: &p, yard: y}
}

// rehearse has start give a guest with the plan in its mailbox, waits for its
// end, and judges what it said. The kit and the modules are there already.
func (x *execution) rehearse(ctx context.Context, seed int64, start func(context.Context, *mailbox.Plan, int) error) error {
	plan, err := x.mailboxPlan(seed)
	if err != nil {
		return err
	}
	shift := vary(plan)
	release, err := x.yard.token(ctx, vm.TCG)
	if err != nil {
		return err
	}
	defer release()
	err = x.step(stepBoot, func() error { return start(ctx, plan, shift) })
	if err == nil {
		err = x.step(stepCarryOut, func() error { return x.attend(ctx) })
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if x.guest == nil {
		return err
	}
	t := &testimony{execution: x, plan: plan}
	return x.conclude(t, shift, err)
}

// mailboxPlan is the plan in the guest's terms.
func (x *execution) mailboxPlan(seed int64) (*mailbox.Plan, error) {
	plan := &mailbox.Plan{Seed: seed, StallAfterNS: int64(x.StallAfter), Calls: x.Calls, Lateness: x.planLateness()}
	with := x.with
	if x.timer != nil {
		with = append(slices.Clone(with), x.timer)
	}
	for _, m := range with {
		content, err := os.ReadFile(m.Path)
		if err != nil {
			return nil, err
		}
		plan.With = append(plan.With, mailbox.Module{Name: m.Name, Content: content})
	}
	for i, m := range x.modules {
		if m.Manifest.Instrument != "" {
			return nil, &patch.InputError{Path: x.Patches[i].Path, Text: "what it measures cannot be read in a deterministic run, which has no channel; leave out -deterministic"}
		}
		content, err := os.ReadFile(m.Path)
		if err != nil {
			return nil, err
		}
		p := mailbox.Patch{Module: mailbox.Module{Name: m.Name, Content: content}, Functions: functionNames(m)}
		if x.Calls {
			traced := tracedPatch(m)
			p.Traced, p.Replace = traced.Functions, traced.Replace
		}
		for _, probe := range x.Patches[i].Probes {
			p.Probes = append(p.Probes, probe.Read)
		}
		plan.Patches = append(plan.Patches, p)
	}
	for _, s := range x.specs() {
		plan.Loads = append(plan.Loads, mailbox.Load{Spec: s})
	}
	return plan, nil
}

// forkMailbox starts a fork with the plan in its mailbox. A snapshot that does
// not come up is thrown away and made again once.
func (x *execution) forkMailbox(ctx context.Context, plan *mailbox.Plan, shift int) error {
	cfg := x.Guest
	cfg.Kit, cfg.Dir = x.kit, x.Dir
	machine, err := x.yard.mailboxMachine(ctx, cfg, shift)
	if err != nil {
		return err
	}
	blob, err := mailbox.Encode(*plan)
	if err != nil {
		return err
	}
	if err := writePlan(x.Dir, blob); err != nil {
		return err
	}
	var failures []string
	for {
		s, err := x.yard.mailboxGolden(ctx, cfg, machine)
		var unfit *vm.SnapshotError
		if errors.As(err, &unfit) && !unfit.Foreign && ctx.Err() == nil && len(failures) == 0 {
			failures = append(failures, err.Error()) // it is gone from the cache
			continue
		}
		if err != nil {
			return err
		}
		own := withMailbox(machine, x.Dir, vm.Seed(plan.Seed))
		own.Heard = x.heardQEMU
		err = x.goOn(ctx, s, own)
		if err == nil {
			x.guest.Origin.Failures = failures
			return nil
		}
		foreign := errors.As(err, &unfit) && unfit.Foreign
		if ctx.Err() != nil || foreign || fatal(err) || len(failures) > 0 {
			return err
		}
		failures = append(failures, err.Error())
		if !blameless(err) {
			x.yard.forget(ctx, s)
		}
	}
}

// goOn forks s.
func (x *execution) goOn(ctx context.Context, s *Snapshot, machine vm.Config) error {
	began := time.Now()
	m, err := s.Fork(ctx, machine)
	if err != nil {
		return err
	}
	m.ExpectShutdown()
	if err := m.Cont(ctx); err != nil {
		m.End(err)
		return errors.Join(err, m.Wait())
	}
	return x.takeGuest(m, machine, began, Origin{Start: StartFork, Snapshot: filepath.Base(s.Dir), Age: began.Sub(s.SavedAt)})
}

// takeGuest makes m, which began then, the guest of the run.
func (x *execution) takeGuest(m *vm.Machine, machine vm.Config, began time.Time, origin Origin) error {
	g, err := newGuest(GuestConfig{Kit: x.kit}, machine)
	if err != nil {
		m.Kill()
		<-m.Done()
		return err
	}
	g.Machine, x.guest = m, g
	g.StartWall = time.Since(began)
	g.StartCPU, _ = m.Usage()
	g.Origin = origin
	return nil
}

// resultsEvery is how often the host looks at the results file: its growth is
// a sign of life, and is bounded.
const resultsEvery = 100 * time.Millisecond

// attend waits for the guest's end. The error is the machine's death.
func (x *execution) attend(ctx context.Context) error {
	m := x.guest.Machine
	defer m.Channel().Close()
	tick := time.NewTicker(resultsEvery)
	defer tick.Stop()
	for size := int64(0); ; {
		select {
		case <-m.Done():
			return m.Wait()
		case <-tick.C:
			info, err := os.Stat(filepath.Join(x.Dir, resultsFile))
			if err == nil && info.Size() > size {
				size = info.Size()
				m.Touch()
			}
			if size > mailbox.MaxResults {
				m.End(fmt.Errorf("its results are over %d MiB", mailbox.MaxResults>>20))
			}
		}
	}
}

// conclude turns what the guest said into the verdict; death is how its
// machine ended, nil if it powered itself off.
func (x *execution) conclude(t *testimony, shift int, death error) error {
	heard := t.hear(filepath.Join(x.Dir, resultsFile))
	lost := x.guest.Machine.LogErr()
	if err := x.guest.rec.log.Close(); lost == nil {
		lost = err
	}
	if lost == nil {
		lost = x.guest.rec.failure()
	}
	if lost != nil {
		return fmt.Errorf("keep the evidence in %s: %w", x.Dir, store.DiskFull(lost, x.Dir))
	}
	timeline, err := store.HashFile(filepath.Join(x.Dir, observe.TimelineFile))
	if err != nil {
		return err
	}
	x.facts(map[string]any{
		"seed":          t.plan.Seed,
		"deterministic": report.Deterministic{Seed: t.plan.Seed, Shift: shift, TimelineSHA256: timeline, VirtualNS: t.last - t.began},
	})
	switch {
	case death != nil:
		return x.judge(death)
	case heard != nil:
		x.noteDeath(heard)
	case t.failed != nil:
		return t.failed
	case !t.over:
		x.noteDeath(t.unfinished())
	}
	return x.judge(nil)
}

// writePlan puts a plan into the mailbox in dir; its zeros take no room.
func writePlan(dir string, blob []byte) error {
	path := filepath.Join(dir, planFile)
	if err := os.WriteFile(path, bytes.TrimRight(blob, "\x00"), 0o600); err != nil {
		return err
	}
	return os.Truncate(path, int64(len(blob)))
}
