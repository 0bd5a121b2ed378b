// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// load adds a load's counters: operations, wrong results, and how long what
// ended since the reading before took.
func (t *trace) load(e observe.Event) {
	l := e.Load
	of := fmt.Sprintf("%s (%d)", oneLine(l.Name), l.ID)
	t.counter("operations of "+of, e, float64(l.Ops))
	t.counter("wrong results of "+of, e, float64(l.Errors))
	h, err := l.Latency.Histogram()
	if err != nil || h.TotalCount() == 0 {
		return
	}
	t.counter("99 of 100 operations of "+of+", ms", e, inMillis(h.ValueAtQuantile(99)))
	t.counter("longest operation of "+of+", ms", e, inMillis(h.Max()))
}

// version is what ran: the kernel's own code or that of a patch.
func version(name string) string {
	if name == observe.Original {
		return "old"
	}
	return "new, of " + name
}

// call marks a call that matters by itself.
func (t *trace) call(e observe.Event) {
	c := e.Call
	t.instant(oneLine(fmt.Sprintf("%s:%s, %s", c.Object, c.Name, version(c.Version))), e, traceGuest, trackCalls, map[string]any{
		"caller": c.Caller, "context": c.Context, "task": fmt.Sprintf("%s/%d", c.Comm, c.TID), "cpu": c.CPU,
	})
}

// calls adds counters: the calls of each function and version in an interval.
func (t *trace) calls(e observe.Event) {
	type key struct{ function, version string }
	sums := map[key]uint64{}
	var order []key
	for _, c := range e.Calls.Counts {
		k := key{c.Object + ":" + c.Name, c.Version}
		if _, seen := sums[k]; !seen {
			order = append(order, k)
		}
		sums[k] += c.N
	}
	for _, k := range order {
		t.counter(oneLine(fmt.Sprintf("calls of %s, %s", k.function, version(k.version))), e, float64(sums[k]))
	}
}
