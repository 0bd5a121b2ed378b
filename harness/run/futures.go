// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// stall is a transition at the moment when it was found to have stalled.
type stall struct {
	found    *Applied
	snapshot *Snapshot
	err      error // why there is no snapshot
	remove   func()
}

// keepStall takes a snapshot of the guest, in which a has stalled, for the
// futures to be tried; the first stall of a run, if any were asked for. The
// run goes on the same with it and without.
func (x *execution) keepStall(ctx context.Context, a *Applied) {
	if len(x.Futures) == 0 || x.stall != nil || a.Phase == nil || a.Done() {
		return
	}
	x.stall = &stall{found: a, remove: func() {}}
	dir, remove, err := x.yard.Store.Scratch("stall")
	if err != nil {
		x.stall.err = err
		return
	}
	x.stall.remove = remove
	x.stall.snapshot, x.stall.err = x.guest.Snapshot(ctx, filepath.Join(dir, "snapshot"))
}

// tryFutures tries what might have freed the stalled transition, each thing in
// a fork of that moment, as many at a time as there may be machines. It comes
// when the run's own guest is gone, so that neither waits for the other's CPU.
func (x *execution) tryFutures(ctx context.Context) error {
	if x.Futures == nil {
		return nil
	}
	x.facts(map[string]any{"futures": []report.Future{}})
	if x.stall == nil {
		return nil
	}
	defer x.stall.remove()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return x.step(stepFutures, func() error {
		tried := make([]report.Future, len(x.Futures))
		n := x.yard.VMs
		if n == 0 {
			n = defaultVMs(x.guest.Accel)
		}
		turns := make(chan struct{}, n)
		var all sync.WaitGroup
		for i, name := range x.Futures {
			turns <- struct{}{}
			all.Go(func() {
				defer func() { <-turns }()
				tried[i] = x.tryFuture(ctx, name)
			})
		}
		all.Wait()
		x.facts(map[string]any{"futures": tried})
		return context.Cause(ctx)
	})
}

// tryFuture tries one. Whatever happens is told in the report.
func (x *execution) tryFuture(ctx context.Context, name string) report.Future {
	out := report.Future{Name: name, Blockers: []report.Blocker{}}
	f, known := futureNamed(name)
	err := x.stall.err
	if err == nil && !known {
		err = fmt.Errorf("there is no such future; there are %v", FutureNames())
	}
	if err != nil {
		out.Reason = fmt.Sprintf("not tried: %v", err)
		return out
	}
	g, err := x.yard.Fork(ctx, x.stall.snapshot, GuestConfig{
		Dir: filepath.Join(x.Dir, futuresDir, name), Silence: x.Guest.Silence, Deadline: x.Guest.Deadline,
	})
	if err != nil {
		out.Reason = fmt.Sprintf("not tried: %v", err)
		return out
	}
	past := len(g.KernelLog())
	a, note, err := f.try(ctx, &attempt{Guest: g, execution: x})
	if err == nil {
		err = g.Fence(ctx) // what the kernel says of it counts as well
	}
	err = errors.Join(err, g.Close(ctx))

	evidence := check.Evidence{Reports: check.Reports(g.KernelLog()[past:])}
	if death, died := x.death(err); died {
		evidence.Death, err = death, nil
	}
	if a != nil {
		evidence.Phases = []check.Phase{a.evidence()}
		out.Freed = a.Done()
		out.Blockers = append(out.Blockers, report.BlockersOf(a.Phase, a.Blockers)...)
	}
	out.Note = note
	out.GuestNS = g.since(x.stall.snapshot, a)
	if err != nil {
		out.Freed, out.Reason = false, fmt.Sprintf("not tried to the end: %v", err)
		return out
	}
	verdict, reason := check.Judge(evidence)
	out.Verdict, out.Reason = string(verdict), reason
	return out
}

// since is the guest time from the moment of s to the end of a's transition,
// or to the last thing that the guest told.
func (g *Guest) since(s *Snapshot, a *Applied) int64 {
	end := int64(0)
	if a != nil && a.Done() {
		end = a.Phase.End
	} else {
		for _, e := range guestEvents(g.Timeline()) {
			end = max(end, e.T)
		}
	}
	return max(end-s.at(), 0)
}

// at is the last moment of the past, by the guest's clock. A guest that is
// watched tells something every few milliseconds while a transition runs.
func (s *Snapshot) at() (t int64) {
	for _, e := range s.past {
		t = max(t, e.T)
	}
	return t
}

// attempt is a fork in which a future is tried.
type attempt struct {
	*Guest
	*execution
}

// inTheWay are the tasks that have not switched, and are no part of the
// harness.
func (t *attempt) inTheWay(ctx context.Context) ([]observe.Blocker, error) {
	all, err := t.Client.Blockers(ctx, functionNames(t.stall.found.Module))
	if err != nil {
		return nil, t.orDeath(err)
	}
	var others []observe.Blocker
	for _, b := range all {
		if b.PID != 1 { // the agent is init
			others = append(others, b)
		}
	}
	return others, nil
}

// follow waits for the end of the transition as long as it took to be called
// stalled.
func (t *attempt) follow(ctx context.Context) (*Applied, error) {
	return t.Follow(ctx, t.stall.found, t.StallAfter)
}
