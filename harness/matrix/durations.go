// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"slices"
	"time"

	"github.com/switchyard-project/switchyard/harness/report"
)

// Durations are how long cases took on kernels, in the wall time of the
// machines that they ran on.
type Durations struct {
	took map[report.Planned]time.Duration
	// of is the median of a case over the kernels; usual is that over all.
	of    map[string]time.Duration
	usual time.Duration
}

// NewDurations takes the durations of cases that passed: one that failed may
// have ended early, or late. Parts of one test add up; of a test that was
// recorded several times the last counts.
func NewDurations(cases []report.Case) Durations {
	d := Durations{took: map[report.Planned]time.Duration{}, of: map[string]time.Duration{}}
	parts := map[report.Planned]map[string]time.Duration{}
	for _, c := range cases {
		if c.Result != report.Passed {
			continue
		}
		p := report.Planned{Kernel: c.Kernel, Test: c.Test()}
		if parts[p] == nil {
			parts[p] = map[string]time.Duration{}
		}
		parts[p][c.Name] = c.Elapsed()
	}
	all := map[string][]time.Duration{}
	var everything []time.Duration
	for p, names := range parts {
		for _, t := range names {
			d.took[p] += t
		}
		all[p.Test] = append(all[p.Test], d.took[p])
		everything = append(everything, d.took[p])
	}
	for test, times := range all {
		d.of[test] = median(times)
	}
	d.usual = median(everything)
	return d
}

// Empty says whether nothing is known.
func (d Durations) Empty() bool { return len(d.took) == 0 }

// Of is how long a test takes on a kernel, as far as is known: there, else on
// other kernels, else as long as any.
func (d Durations) Of(test, kernel string) time.Duration {
	if t, ok := d.took[report.Planned{Kernel: kernel, Test: test}]; ok {
		return t
	}
	if t, ok := d.of[test]; ok {
		return t
	}
	if d.usual > 0 {
		return d.usual
	}
	return time.Second
}

func median(times []time.Duration) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[len(times)/2]
}
