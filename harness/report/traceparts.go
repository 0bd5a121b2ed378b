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
