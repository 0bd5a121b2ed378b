// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// mostObserverShare is what watching may take of one guest CPU: more, and it
// may have changed what it watched.
const mostObserverShare = 0.02

// Observer is what watching took from the guest.
type Observer struct {
	// CPUShare is the CPU time of the watcher's threads as a part of one guest
	// CPU's, typically, while a transition runs: by medians, as what a host takes
	// from an emulated guest in the middle of a look is not the watcher's.
	CPUShare float64 `json:"cpu_share"`
	// MeasuredCPUShare is the sum by the guest's own clock, all included.
	MeasuredCPUShare float64 `json:"measured_cpu_share"`
	Looks            int     `json:"looks"`
	MaxLateNS        int64   `json:"max_late_ns"`     // the latest look
	Tasks            int     `json:"tasks,omitempty"` // the most that were watched at a look
}

// observerOf sums up what watching cost; nil if nobody watched.
func observerOf(t observe.Timeline) *Observer {
	var wall, cpu int64
	var seconds, examinations []float64
	o := &Observer{}
	for _, e := range t {
		if s := e.Sample; s != nil {
			o.Tasks = max(o.Tasks, s.Total)
		}
		c := e.Cost
		if c == nil || c.WallNS <= 0 {
			continue
		}
		wall, cpu = wall+c.WallNS, cpu+c.CPUNS+c.ScanNS+c.ExamineNS
		o.Looks += c.Looks
		o.MaxLateNS = max(o.MaxLateNS, c.MaxLateNS)
		if c.ExamineNS > 0 {
			examinations = append(examinations, float64(c.ExamineNS))
		}
		if c.TypicalNS > 0 {
			seconds = append(seconds, float64(c.TypicalNS*int64(c.Looks)+c.ScanNS)/float64(c.WallNS))
		}
	}
	if wall == 0 {
		return nil
	}
	o.MeasuredCPUShare = rounded(float64(cpu) / float64(wall))
	o.CPUShare = o.MeasuredCPUShare // of a watch that saw no transition
	if len(seconds) > 0 {
		o.CPUShare = rounded(median(seconds) + median(examinations)*float64(len(examinations))/float64(wall))
	}
	return o
}

// median is the middle of all; 0 of none.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// rounded has four digits behind the point.
func rounded(share float64) float64 { return math.Round(share*1e4) / 1e4 }

// warning says that watching took too much of a guest that runs on accel, ""
// if it did not. Of an emulated guest there is none: its CPU is some ten times
// slower, and what else the host does counts as its own.
func (o *Observer) warning(accel string) string {
	if o == nil || accel == "tcg" || o.CPUShare <= mostObserverShare {
		return ""
	}
	return fmt.Sprintf("watching took %.1f %% of a guest CPU (up to %.0f %% are meant, with %d tasks): it may have slowed what it watched", 100*o.CPUShare, 100*mostObserverShare, o.Tasks)
}

// write says on a terminal what watching took.
func (o *Observer) write(w io.Writer, release string) {
	if o != nil {
		fmt.Fprintf(w, "\n%s: watched by %v\n", release, o)
	}
}

// String is what watching took, in a line.
func (o *Observer) String() string {
	return fmt.Sprintf("%d looks that took %.2f %% of a guest CPU; the latest came %.1f ms late", o.Looks, 100*o.CPUShare, float64(o.MaxLateNS)/1e6)
}
