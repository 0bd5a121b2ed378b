// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Load is what one load did. Rates are operations a second of guest time.
type Load struct {
	Name       string  `json:"name"`
	Ops        uint64  `json:"ops"`
	Errors     uint64  `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
	RateBefore float64 `json:"rate_before"`
	RateDuring float64 `json:"rate_during"`
	RateAfter  float64 `json:"rate_after"`
	// Latency is how long its operations took; absent where none was measured.
	Latency *LoadLatency `json:"latency,omitempty"`
	// Readings are its counters over the whole run.
	Readings []Reading `json:"readings,omitempty"`
}

// Reading is the counters of a load at one moment.
type Reading struct {
	GuestNS int64  `json:"guest_ns"` // by the guest's CLOCK_MONOTONIC
	Ops     uint64 `json:"ops"`
	Errors  uint64 `json:"errors,omitempty"`
	// How long the operations since the reading before took; 0 if none ended.
	P50NS int64 `json:"p50_ns,omitempty"`
	P99NS int64 `json:"p99_ns,omitempty"`
	MaxNS int64 `json:"max_ns,omitempty"`
}

// LoadLatency is how long the operations of a load took around the transition
// that applies the patch, by the readings that enclose each part; null for a
// part in which none ended.
type LoadLatency struct {
	Before *Latency `json:"before"`
	During *Latency `json:"during"`
	After  *Latency `json:"after"`
}

// Latency is how long operations took, guest time, each to 1 %.
type Latency struct {
	Count int64 `json:"count"`
	P50NS int64 `json:"p50_ns"`
	P99NS int64 `json:"p99_ns"`
	MaxNS int64 `json:"max_ns"`
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
		for i, e := range mine {
			one := Reading{GuestNS: e.T, Ops: e.Load.Ops, Errors: e.Load.Errors}
			if l := summary(mine, i-1, i); l != nil {
				one.P50NS, one.P99NS, one.MaxNS = l.P50NS, l.P99NS, l.MaxNS
			}
			r.Readings = append(r.Readings, one)
		}
		if apply != nil && len(mine) > 0 {
			end := apply.Start + int64(apply.Took())
			after := until
			if after == 0 {
				after = mine[len(mine)-1].T
			}
			var l LoadLatency
			r.RateBefore, l.Before = part(mine, mine[0].T, apply.Start)
			r.RateDuring, l.During = part(mine, apply.Start, end)
			r.RateAfter, l.After = part(mine, end, after)
			if l != (LoadLatency{}) {
				r.Latency = &l
			}
		}
		all = append(all, r)
	}
	return all
}

// part is the operations a second of guest time, and how long they took,
// between the last reading at or before from and the first at or after to: the
// readings that enclose the interval, since a transition can be shorter than
// the time between two.
func part(readings observe.Timeline, from, to int64) (rate float64, l *Latency) {
	first, last := 0, 0
	for i, e := range readings {
		if e.T <= from {
			first = i
		}
		last = i
		if e.T >= to {
			break
		}
	}
	if first >= last {
		return 0, nil
	}
	if a, b := readings[first], readings[last]; b.T > a.T && b.Load.Ops >= a.Load.Ops {
		rate = float64(b.Load.Ops-a.Load.Ops) / (float64(b.T-a.T) / 1e9)
	}
	return rate, summary(readings, first, last)
}

// summary is the latency of the operations between the reading numbered first
// and that numbered last; nil if there are none. What no agent of ours told is
// left out.
func summary(readings observe.Timeline, first, last int) *Latency {
	var sum *hdrhistogram.Histogram
	for _, e := range readings[first+1 : last+1] {
		if len(e.Load.Latency) == 0 {
			continue
		}
		h, err := e.Load.Latency.Histogram()
		switch {
		case err != nil:
		case sum == nil:
			sum = h
		default:
			sum.Merge(h)
		}
	}
	if sum == nil || sum.TotalCount() == 0 {
		return nil
	}
	return &Latency{sum.TotalCount(), sum.ValueAtQuantile(50), sum.ValueAtQuantile(99), sum.Max()}
}
