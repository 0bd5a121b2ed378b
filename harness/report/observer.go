// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// mostObserverShare is what watching may take of one guest CPU: more, and it
// may have changed what it watched.
const mostObserverShare = 0.02

// Observer is what watching took from the guest.
type Observer struct {
	// CPUShare is the CPU time of the watcher's threads as a part of one guest
	// CPU's, over the whole watch.
	CPUShare float64 `json:"cpu_share"`
	// TransitionCPUShare is the same over the seconds in which a transition ran.
	TransitionCPUShare float64 `json:"transition_cpu_share,omitempty"`
	Looks              int     `json:"looks"`
	MaxLateNS          int64   `json:"max_late_ns"`     // the latest look
	Tasks              int     `json:"tasks,omitempty"` // the most that were watched at a look
}

// observerOf sums up what watching cost; nil if nobody watched.
func observerOf(t observe.Timeline) *Observer {
	var wall, cpu, busyWall, busyCPU int64
	o := &Observer{}
	phases := t.Phases()
	for _, e := range t {
		if s := e.Sample; s != nil {
			o.Tasks = max(o.Tasks, s.Total)
		}
		c := e.Cost
		if c == nil {
			continue
		}
		took := c.CPUNS + c.ScanNS + c.ExamineNS
		wall, cpu = wall+c.WallNS, cpu+took
		o.Looks += c.Looks
		o.MaxLateNS = max(o.MaxLateNS, c.MaxLateNS)
		for _, p := range phases {
			if e.T >= p.Start && (!p.Done() || e.T-c.WallNS <= p.End) {
				busyWall, busyCPU = busyWall+c.WallNS, busyCPU+took
				break
			}
		}
	}
	if wall == 0 {
		return nil
	}
	o.CPUShare = share(cpu, wall)
	o.TransitionCPUShare = share(busyCPU, busyWall)
	return o
}

// share is a part with four digits behind the point.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part*10000/whole) / 10000
}

// warning says that watching took too much, "" if it did not.
func (o *Observer) warning() string {
	if o == nil {
		return ""
	}
	worst := max(o.CPUShare, o.TransitionCPUShare)
	if worst <= mostObserverShare {
		return ""
	}
	return fmt.Sprintf("watching took %.1f %% of a guest CPU (up to %.0f %% are meant, with %d tasks): it may have slowed what it watched", 100*worst, 100*mostObserverShare, o.Tasks)
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
