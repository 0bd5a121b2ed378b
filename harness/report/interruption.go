// SPDX-License-Identifier: Apache-2.0

package report

import "github.com/switchyard-project/switchyard/harness/observe/lateness"

// The windows of a run in which it was measured how late who had to run at
// once ran: the same load is there in all of them.
const (
	WindowBaseline = lateness.Baseline // before anything was patched
	WindowApply    = lateness.Apply    // from before the module is inserted to the transition's end, or to the stall
	WindowPatched  = lateness.Patched  // all is applied and steady
	WindowRevert   = lateness.Revert   // from before `enabled` is written to the transition's end, or to the stall
	WindowAfter    = lateness.After    // nothing is patched any more
)

// Interruption is how long anybody was interrupted, by two witnesses: a task
// of a real-time priority above all others on each CPU, which wants to run
// each PeriodNS (the fields of Windows), and a timer's interrupt on each CPU,
// in a kernel module (Witness).
//
// A lateness is from when it should have run to when it ran, by the guest's
// clock. Where one came so late that deadlines after it had passed as well,
// each of these is counted with its own lateness, so the percentiles are those
// of a moment chosen at random.
type Interruption struct {
	Windows
	// Witness is the timer's interrupt; null where its module could not be
	// built or loaded, of which a warning of the run says why.
	Witness  *Windows `json:"witness"`
	PeriodNS int64    `json:"period_ns"`
	// Virtual: the guest's time goes by its instructions, so the figures are
	// exact, repeat, and have nothing of the host in them.
	Virtual bool `json:"virtual"`
	// Noise says why the figures hold only as orders and ratios; "" where they
	// are what they say.
	Noise string `json:"noise,omitempty"`
	// Clock is how the guest's clock went against the host's; null where no
	// host's clock matters or the two were not compared.
	Clock *ClockPace `json:"clock,omitempty"`
	// Cost is CPU time of the guest that the probes took, over all windows.
	CostNS int64 `json:"cost_ns"`
}

// Windows are those that a run got to; null the others.
type Windows struct {
	Baseline *Window `json:"baseline"`
	Apply    *Window `json:"apply"`
	Patched  *Window `json:"patched"`
	Revert   *Window `json:"revert"`
	After    *Window `json:"after"`
}

// Named is the window of that name; nil if there is none.
func (w *Windows) Named(name string) *Window {
	if w == nil {
		return nil
	}
	if place := w.place(name); place != nil {
		return *place
	}
	return nil
}

func (w *Windows) place(name string) **Window {
	switch name {
	case WindowBaseline:
		return &w.Baseline
	case WindowApply:
		return &w.Apply
	case WindowPatched:
		return &w.Patched
	case WindowRevert:
		return &w.Revert
	case WindowAfter:
		return &w.After
	}
	return nil
}

// Window is what one witness saw in one window, over all CPUs. Figures are
// exact to two digits; MaxNS is exact. All of them are absent where Count is 0.
type Window struct {
	Lateness
	// CPUs are the same for each CPU, in order.
	CPUs []CPUWindow `json:"cpus"`
	// Starved are the CPUs on which the witness never ran although there was
	// the time for it, so that nothing is known of them.
	Starved []int `json:"starved,omitempty"`
	FromNS  int64 `json:"from_guest_ns"`
	ToNS    int64 `json:"to_guest_ns"`
	// Histogram holds all that Count counts.
	Histogram lateness.Histogram `json:"histogram,omitempty"`
}

// CPUWindow is one CPU's part of a window.
type CPUWindow struct {
	CPU int `json:"cpu"`
	Lateness
}

// Lateness is a distribution in figures.
type Lateness struct {
	P50NS  int64 `json:"p50_ns,omitempty"`
	P99NS  int64 `json:"p99_ns,omitempty"`
	P999NS int64 `json:"p999_ns,omitempty"` // of less than 1000, it is the longest
	MaxNS  int64 `json:"max_ns,omitempty"`
	// Count is how many deadlines the figures are of.
	Count int64 `json:"count"`
	// Missed are those of them that passed while the witness waited for an
	// earlier one.
	Missed int64 `json:"missed,omitempty"`
	// VoidCount are further deadlines, which are in no figure: the host had
	// taken the CPU from the virtual CPU's thread meanwhile. VoidNS is how long
	// that thread waited for a CPU of the host's in the window (of a CPU: in
	// the deadlines that are void).
	VoidCount int64 `json:"void_count,omitempty"`
	VoidNS    int64 `json:"void_ns,omitempty"`
	// UnjudgedNS: deadlines that were less late than this were too many to be
	// held against what the host took; 0 if all were.
	UnjudgedNS int64 `json:"unjudged_ns,omitempty"`
}

// ClockPace is how many ns of the guest's clock went by in one of the host's,
// between two moments at which both were read. One more than SlackNS apart from
// 1 is told in a warning as well: then guest and host do not agree on what a
// second is.
type ClockPace struct {
	Rate    float64 `json:"rate"`
	SpanNS  int64   `json:"span_ns"`  // of the host's, between the two
	SlackNS int64   `json:"slack_ns"` // how far the readings may be off
}
