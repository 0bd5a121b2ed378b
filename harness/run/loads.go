// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"time"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
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
		x.started(runningLoad{id: id, spec: s})
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
		x.stopped(*l)
	}
	return nil
}

func (x *execution) stuckLoad(l runningLoad) {
	x.find(observe.FoundLoad, "load %s made no progress for %v of guest time", l.spec.Name, loadPatience)
}

// started notes a load that was started.
func (x *execution) started(l runningLoad) {
	x.loads = append(x.loads, l)
	x.note(observe.Event{Kind: observe.KindStarted, Load: &observe.Load{ID: l.id, Name: l.spec.Name}})
}

// stopped notes the last counters of a load, and what is wrong with them.
func (x *execution) stopped(l runningLoad) {
	final := l.final
	final.ID = l.id
	x.note(observe.Event{Kind: observe.KindFinal, Load: &final})
	switch {
	case final.Errors > 0:
		x.find(observe.FoundLoad, "load %s: %d of %d results were wrong, the first: %s", l.spec.Name, final.Errors, final.Ops+final.Errors, final.FirstError)
	case final.Dead:
		x.find(observe.FoundLoad, "load %s ended by itself", l.spec.Name)
	}
}
