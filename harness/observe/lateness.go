// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"encoding/json"
	"errors"

	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

// The witnesses of lateness.
const (
	ProbeWitness = "probe" // a task of a real-time priority above all others
	TimerWitness = "timer" // a timer's interrupt, in a kernel module
)

// Lateness is how late a witness ran on one CPU in one window, as counted when
// the event was made: of two about the same, the later holds.
type Lateness struct {
	Witness  string `json:"witness"`
	Window   string `json:"window"` // of package lateness
	CPU      int    `json:"cpu"`
	FromNS   int64  `json:"from"` // the guest's clock; of several pieces, the first's begin
	ToNS     int64  `json:"to"`   // and the last's end
	PeriodNS int64  `json:"period_ns"`
	// OpenNS is how long the window was open, without what lay between pieces.
	OpenNS    int64              `json:"open_ns"`
	Missed    int64              `json:"missed,omitempty"` // deadlines that passed behind a late one
	LongestNS int64              `json:"longest_ns,omitempty"`
	Histogram lateness.Histogram `json:"histogram,omitempty"`
	// Latest are the latest with their time, to be held against what the host
	// took; UnkeptNS is the latest that is not among them. By virtual time there
	// is nothing to hold against, and they are left out.
	Latest   Latest `json:"latest,omitempty"`
	UnkeptNS int64  `json:"unkept_ns,omitempty"`
	// Stuck: the witness was not back yet from before the window's end.
	Stuck bool `json:"stuck,omitempty"`
	// Error is why the witness gave up.
	Error string `json:"error,omitempty"`
	// CostNS is the CPU time that the witness has taken on all CPUs so far;
	// the timer does not know its own.
	CostNS int64 `json:"cost_ns,omitempty"`
}

// Latest are deadlines and how late each was; in JSON a list of numbers,
// deadline and lateness by turns.
type Latest []lateness.Late

// MarshalJSON writes the list of numbers.
func (l Latest) MarshalJSON() ([]byte, error) {
	flat := make([]int64, 0, 2*len(l))
	for _, one := range l {
		flat = append(flat, one.Deadline, one.NS)
	}
	return json.Marshal(flat)
}

// UnmarshalJSON reads it.
func (l *Latest) UnmarshalJSON(text []byte) error {
	var flat []int64
	if err := json.Unmarshal(text, &flat); err != nil {
		return err
	}
	if len(flat)%2 != 0 {
		return errors.New("a deadline without its lateness")
	}
	var read Latest
	for i := 0; i < len(flat); i += 2 {
		read = append(read, lateness.Late{Deadline: flat[i], NS: flat[i+1]})
	}
	*l = read
	return nil
}

// Taken is when a thread of the machine's that runs virtual CPUs wanted a CPU
// of the host's and had none, by the host's clock.
type Taken struct {
	Thread int   `json:"thread"`
	CPUs   []int `json:"cpus"` // the virtual ones that it runs
	// FromNS is the host's clock when the first of Spans begins.
	FromNS int64 `json:"from"`
	// Spans are three numbers each, in us: from the end of the span before to
	// this one's begin, its length, and how long of that the thread waited.
	// There is one from each look to the next, less those in which it did not
	// wait.
	Spans []int64 `json:"spans"`
}

// Span is a time by the host's clock and how long of it a thread waited, in ns.
type Span struct{ From, To, Wait int64 }

// All are the spans, in order.
func (t *Taken) All() (all []Span) {
	at := t.FromNS
	for s := t.Spans; len(s) >= 3; s = s[3:] {
		from := at + s[0]*1e3
		at = from + s[1]*1e3
		all = append(all, Span{from, at, s[2] * 1e3})
	}
	return all
}

// Add adds a span, to whole us outwards; it must not begin before the last ends.
func (t *Taken) Add(s Span) {
	at := t.FromNS
	for i := 0; i < len(t.Spans); i += 3 {
		at += (t.Spans[i] + t.Spans[i+1]) * 1e3
	}
	if len(t.Spans) == 0 {
		t.FromNS, at = s.From, s.From
	}
	gap := max(s.From-at, 0) / 1e3
	t.Spans = append(t.Spans, gap, (s.To-at-gap*1e3+999)/1e3, (s.Wait+999)/1e3)
}
