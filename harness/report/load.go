// SPDX-License-Identifier: Apache-2.0

package report

import "github.com/switchyard-project/switchyard/harness/observe"

// Load is what one load did. Rates are operations a second of guest time.
type Load struct {
	Name       string  `json:"name"`
	Ops        uint64  `json:"ops"`
	Errors     uint64  `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
	RateBefore float64 `json:"rate_before"`
	RateDuring float64 `json:"rate_during"`
	RateAfter  float64 `json:"rate_after"`
	// Readings are its counters over the whole run.
	Readings []Reading `json:"readings,omitempty"`
}

// Reading is the counters of a load at one moment.
type Reading struct {
	GuestNS int64  `json:"guest_ns"` // by the guest's CLOCK_MONOTONIC
	Ops     uint64 `json:"ops"`
	Errors  uint64 `json:"errors,omitempty"`
}

// loadsOf are the loads' counts and rates around the transition apply, which
// may be nil, until the one back began, 0 for to the end. started are the ids
// of the loads in their order.
func loadsOf(started []observe.Load, final map[int]observe.Load, timeline observe.Timeline, apply *observe.Phase, until int64) []Load {
	var all []Load
	readings := timeline.Kind(observe.KindLoad)
	for _, l := range started {
		mine := readings.Where(func(e observe.Event) bool { return e.Load != nil && e.Load.ID == l.ID })
		last := final[l.ID]
		if n := len(mine); n > 0 && last.Ops == 0 {
			last = *mine[n-1].Load
		}
		r := Load{Name: l.Name, Ops: last.Ops, Errors: last.Errors, FirstError: last.FirstError}
		for _, e := range mine {
			r.Readings = append(r.Readings, Reading{GuestNS: e.T, Ops: e.Load.Ops, Errors: e.Load.Errors})
		}
		if apply != nil && len(mine) > 0 {
			end := apply.Start + int64(apply.Took())
			after := until
			if after == 0 {
				after = mine[len(mine)-1].T
			}
			r.RateBefore = rate(mine, mine[0].T, apply.Start)
			r.RateDuring = rate(mine, apply.Start, end)
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
	if a == nil || b == nil || b.T <= a.T || b.Load.Ops < a.Load.Ops {
		return 0
	}
	return float64(b.Load.Ops-a.Load.Ops) / (float64(b.T-a.T) / 1e9)
}
