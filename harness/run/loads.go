// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"time"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// runningLoad is a load in the guest.
type runningLoad struct {
	id    int
	spec  load.Spec
	final observe.Load
}

// progressOps is what every load must have done, for each of its workers,
// before it counts as going.
const progressOps = 5

// loadPatience is the guest time within which a load must make progress.
const loadPatience = 30 * time.Second

func (x *execution) startLoads(ctx context.Context) error {
	for _, s := range x.specs() {
		id, err := x.guest.Client.StartLoad(ctx, s)
		if err != nil {
			return fmt.Errorf("start load %s: %w", s.Name, x.guest.orDeath(err))
		}
		x.guest.rec.action("start-load", s.String(), "", nil)
		x.loads = append(x.loads, runningLoad{id: id, spec: s})
	}
	return x.loadsProgress(ctx)
}

// specs are the loads to start.
func (x *execution) specs() []load.Spec {
	if x.Loads == nil {
		return x.defaultLoads()
	}
	return x.Loads
}

// loadsProgress waits until every load has done progressOps more for each
// worker. A load that cannot is evidence: the patch may be what stops it.
func (x *execution) loadsProgress(ctx context.Context) error {
	if len(x.loads) == 0 {
		return nil
	}
	missing := map[int]uint64{} // id -> the count it must reach
	first := map[int]bool{}
	for _, l := range x.loads {
		first[l.id] = true
	}
	var began int64
	stuck := false
	err := x.guest.rec.wait(ctx, x.guest.rec.mark(), func(e observe.Event) (bool, error) {
		if e.Clock == observe.Guest && e.Seq != 0 {
			if began == 0 {
				began = e.T
			}
			if stuck = e.T-began > int64(loadPatience); stuck {
				return true, nil
			}
		}
		if e.Load == nil {
			return false, nil
		}
		if first[e.Load.ID] {
			delete(first, e.Load.ID)
			missing[e.Load.ID] = e.Load.Ops + uint64(progressOps*max(e.Load.N, 1))
		} else if e.Load.Ops >= missing[e.Load.ID] || e.Load.Dead {
			delete(missing, e.Load.ID)
		}
		return len(first) == 0 && len(missing) == 0, nil
	})
	if err != nil {
		return x.guest.orDeath(err)
	}
	if stuck {
		for _, l := range x.loads {
			if _, waits := missing[l.id]; waits || first[l.id] {
				x.stuckLoad(l)
			}
		}
	}
	return nil
}

func (x *execution) stopLoads(ctx context.Context) error {
	for i := range x.loads {
		l := &x.loads[i]
		final, err := x.guest.Client.StopLoad(ctx, l.id)
		if err != nil {
			return fmt.Errorf("stop load %s: %w", l.spec.Name, x.guest.orDeath(err))
		}
		x.guest.rec.action("stop-load", l.spec.String(), "", nil)
		l.final = final
		x.judgeLoad(*l)
	}
	return nil
}

func (x *execution) stuckLoad(l runningLoad) {
	x.evidence.WrongLoads = append(x.evidence.WrongLoads, fmt.Sprintf("load %s made no progress for %v of guest time", l.spec.Name, loadPatience))
}

// judgeLoad looks at the last counters of a load.
func (x *execution) judgeLoad(l runningLoad) {
	switch final := l.final; {
	case final.Errors > 0:
		x.evidence.WrongLoads = append(x.evidence.WrongLoads, fmt.Sprintf("load %s: %d of %d results were wrong, the first: %s", l.spec.Name, final.Errors, final.Ops+final.Errors, final.FirstError))
	case final.Dead:
		x.evidence.WrongLoads = append(x.evidence.WrongLoads, fmt.Sprintf("load %s ended by itself", l.spec.Name))
	}
}

// loadReports are the loads' counts and rates around the first transition.
func (x *execution) loadReports() []report.Load {
	var all []report.Load
	readings := x.guest.Timeline().Kind(observe.KindLoad)
	for _, l := range x.loads {
		mine := readings.Where(func(e observe.Event) bool { return e.Load.ID == l.id })
		last := l.final
		if n := len(mine); n > 0 && last.Ops == 0 {
			last = *mine[n-1].Load
		}
		r := report.Load{Name: l.spec.Name, Ops: last.Ops, Errors: last.Errors, FirstError: last.FirstError}
		if len(x.applied) > 0 && len(mine) > 0 && x.applied[0].apply.Phase != nil {
			phase := x.applied[0].apply.Phase
			end := phase.Start + int64(phase.Took())
			after := mine[len(mine)-1].T
			if rv := x.applied[0].revert; rv != nil && rv.Phase != nil {
				after = rv.Phase.Start
			}
			r.RateBefore = rate(mine, mine[0].T, phase.Start)
			r.RateDuring = rate(mine, phase.Start, end)
			r.RateAfter = rate(mine, end, after)
		}
		all = append(all, r)
	}
	return all
}

// rate is the operations a second of guest time between the last reading at
// or before from and the first at or after to: the readings that enclose the
// interval, since a transition can be shorter than the time between two.
func rate(readings observe.Timeline, from, to int64) float64 {
	var a, b *observe.Event
	for i := range readings {
		e := &readings[i]
		if e.T <= from || a == nil {
			a = e
		}
		if e.T >= to {
			b = e
			break
		}
		b = e
	}
	if a == nil || b == nil || b.T <= a.T {
		return 0
	}
	return float64(b.Load.Ops-a.Load.Ops) / (float64(b.T-a.T) / 1e9)
}
