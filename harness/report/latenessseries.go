// SPDX-License-Identifier: Apache-2.0

package report

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

// LatenessSeries is one window of many runs.
type LatenessSeries struct {
	// Runs are the figures of each run that has any, in the order of the runs:
	// what confidence intervals are computed of.
	Runs []Lateness
	// Absent are runs that have none: never measured, never got to that
	// window, or all was void or starved.
	Absent int
	// Pooled is all of them in one histogram.
	Pooled    Lateness
	Histogram lateness.Histogram
}

// LatenessOf collects a window (Window…) of many runs, as the probe saw it or,
// with witness, as the timer's interrupt did.
func LatenessOf(runs []Run, window string, witness bool) (s LatenessSeries) {
	var all []lateness.Histogram
	for _, r := range runs {
		var w *Window
		if i := r.Interruption; i != nil {
			if windows := &i.Windows; !witness {
				w = windows.Named(window)
			} else {
				w = i.Witness.Named(window)
			}
		}
		if w == nil || w.Count == 0 {
			s.Absent++
			continue
		}
		s.Runs = append(s.Runs, w.Lateness)
		s.Pooled.add(w.Lateness)
		all = append(all, w.Histogram)
	}
	longest := s.Pooled.MaxNS
	s.Histogram = lateness.Merge(all...)
	s.Pooled.fill(s.Histogram, longest)
	return s
}

// add sums up what is counted; percentiles do not add, see fill.
func (l *Lateness) add(other Lateness) {
	l.Count += other.Count
	l.Missed += other.Missed
	l.VoidCount += other.VoidCount
	l.VoidNS += other.VoidNS
	l.MaxNS = max(l.MaxNS, other.MaxNS)
	l.UnjudgedNS = max(l.UnjudgedNS, other.UnjudgedNS)
}

// fill computes the percentiles of a histogram whose longest value is known.
func (l *Lateness) fill(h lateness.Histogram, longest int64) {
	l.Count, l.MaxNS = h.Count(), longest
	hdr := hdrOf(h)
	if l.Count == 0 {
		l.P50NS, l.P99NS, l.P999NS, l.MaxNS = 0, 0, 0, 0
		return
	}
	// A bucket's end can lie beyond the longest that is in it.
	at := func(percentile float64) int64 { return min(hdr.ValueAtPercentile(percentile), longest) }
	l.P50NS, l.P99NS, l.P999NS = at(50), at(99), at(99.9)
}

func hdrOf(h lateness.Histogram) *hdrhistogram.Histogram {
	hdr := hdrhistogram.New(lateness.Lowest, lateness.Highest, lateness.Digits)
	for _, b := range h {
		_ = hdr.RecordValues(b.NS, b.N) // no bucket is above Highest
	}
	return hdr
}
