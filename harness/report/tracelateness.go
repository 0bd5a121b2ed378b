// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

// mostLate bounds the spans of one witness in one window on one CPU.
const mostLate = 100

// late adds the latest deadlines that are told with their time, a span each
// from when the witness should have run to when it ran. Of two events about
// the same the later holds.
func (t *trace) late(timeline observe.Timeline) {
	type place struct {
		witness, window string
		cpu             int
	}
	last := map[place]*observe.Lateness{}
	var order []place
	for _, e := range timeline {
		if l := e.Lateness; l != nil {
			p := place{l.Witness, l.Window, l.CPU}
			if last[p] == nil {
				order = append(order, p)
			}
			last[p] = l
		}
	}
	tracks := map[string]int{}
	for _, p := range order {
		shown := slices.Clone(last[p].Latest)
		slices.SortStableFunc(shown, func(a, b lateness.Late) int { return cmp.Compare(b.NS, a.NS) })
		shown = shown[:min(len(shown), mostLate)]
		if len(shown) == 0 {
			continue
		}
		name := oneLine(fmt.Sprintf("%s on CPU %d", p.witness, p.cpu))
		tid, known := tracks[name]
		if !known {
			tid = len(tracks) + 1
			tracks[name] = tid
			t.add(traceEvent{Name: "thread_name", Phase: "M", PID: traceLate, TID: tid, Args: map[string]any{"name": name}})
		}
		for _, one := range shown {
			t.span(oneLine("late, "+p.window), observe.Guest, one.Deadline, one.Deadline+one.NS, traceLate, tid, map[string]any{"ms": inMillis(one.NS)})
		}
	}
}

// leastTaken is from when on a wait for the host's CPU has a span.
const leastTaken = 1e6 // ns

// taken adds when the host kept threads that run virtual CPUs from running.
func (t *trace) taken(timeline observe.Timeline) {
	named := map[int]bool{}
	for _, e := range timeline {
		if e.Taken == nil {
			continue
		}
		thread := e.Taken.Thread
		for _, s := range e.Taken.All() {
			if s.Wait < leastTaken {
				continue
			}
			if !named[thread] {
				named[thread] = true
				t.add(traceEvent{Name: "thread_name", Phase: "M", PID: traceTaken, TID: thread, Args: map[string]any{"name": fmt.Sprintf("thread of the virtual CPUs %v", e.Taken.CPUs)}})
			}
			t.span("waited for a CPU of the host", observe.Host, s.From, s.To, traceTaken, thread, map[string]any{"ms": inMillis(s.Wait)})
		}
	}
}
