// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"cmp"
	"slices"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// counts gathers calls until they are told: by epoch, function, version,
// caller and context.
type counts struct {
	epochs []epoch
	all    map[countKey]*counted
	shown  map[shownKey]int
	events uint64
	cpu    int64
	last   int // the busiest function when they were last told; -1: none
	// traced says whether a function still is: one that was given up cannot be
	// the busiest.
	traced func(function int) bool
}

// epoch is the time between two marks of the livepatch core.
type epoch struct {
	from   int64
	moving bool // a transition is under way
}

type countKey struct {
	epoch, function int
	version         string
	caller          uint64 // its start, or where in it the call is when that is not known
	context         string
}

type counted struct {
	n           uint64
	first, last int64
}

// shownKey is for the calls that are told one by one.
type shownKey struct {
	epoch, function int
	version         string
}

const (
	// mostCounts bounds the different counts of an interval; more callers than
	// that are told as one that is not known.
	mostCounts = 4096
	// mostShown is how many calls of a function's version are told one by one
	// in an epoch: the first of a replacement is among them, and those of a
	// version whose time is over.
	mostShown = 3
	// mostInEvent bounds the counts of one event.
	mostInEvent = 200
)

func newCounts(from int64, traced func(function int) bool) *counts {
	return &counts{last: -1, traced: traced, epochs: []epoch{{from: from}}, all: map[countKey]*counted{}, shown: map[shownKey]int{}}
}

// cut begins an epoch at t.
func (c *counts) cut(t int64, moving bool) {
	c.epochs = append(c.epochs, epoch{t, moving})
}

// epochAt is the epoch of t.
func (c *counts) epochAt(t int64) int {
	for i := len(c.epochs) - 1; i > 0; i-- {
		if t >= c.epochs[i].from {
			return i
		}
	}
	return 0
}

// add counts a call, and says whether it is to be told by itself.
func (c *counts) add(one call, caller uint64) (show bool) {
	key := countKey{c.epochAt(one.t), one.function, one.version, caller, one.context}
	n := c.all[key]
	if n == nil {
		if len(c.all) >= mostCounts {
			key.caller = 0
		}
		if n = c.all[key]; n == nil {
			n = &counted{first: one.t}
			c.all[key] = n
		}
	}
	n.n++
	n.first, n.last = min(n.first, one.t), max(n.last, one.t)
	of := shownKey{key.epoch, one.function, one.version}
	if c.shown[of] >= mostShown {
		return false
	}
	c.shown[of]++
	return true
}

// busiest is the function with the most calls since they were told last.
func (c *counts) busiest() int {
	totals := map[int]uint64{}
	for key, n := range c.all {
		totals[key.function] += n.n
	}
	best := -1
	for f, n := range totals {
		if !c.traced(f) {
			continue
		}
		if best < 0 || n > totals[best] || n == totals[best] && f < best {
			best = f
		}
	}
	return best
}

// tell makes events of what was gathered, one or more for each epoch, and
// begins anew.
func (c *counts) tell(now int64, describe func(countKey) observe.CallCount) (events []observe.Event) {
	busiest := c.busiest()
	keys := make([]countKey, 0, len(c.all))
	for key := range c.all {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b countKey) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.function, b.function), cmp.Compare(a.version, b.version),
			cmp.Compare(a.context, b.context), cmp.Compare(a.caller, b.caller))
	})
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && n < mostInEvent && keys[n].epoch == keys[0].epoch {
			n++
		}
		e := c.epochs[keys[0].epoch]
		calls := &observe.Calls{From: e.from, Moving: e.moving, Events: c.events, CPUNS: c.cpu}
		for _, key := range keys[:n] {
			one, of := c.all[key], describe(key)
			of.N, of.First, of.Last = one.n, one.first, one.last
			calls.Counts = append(calls.Counts, of)
		}
		c.events, c.cpu = 0, 0
		events = append(events, observe.Event{T: now, Kind: observe.KindCalls, Calls: calls})
		keys = keys[n:]
	}
	c.last = busiest
	clear(c.all)
	return events
}
