// SPDX-License-Identifier: Apache-2.0

// Package sampler watches a live patch's transition from inside the guest:
// sysfs, every task's patch_state, the core's rounds, the kernel's log.
//
// What lives here: looking, and the ring that what was seen waits in. What
// must not: what it means (packages observe and check), how it travels
// (channel), and anything that would make the agent's start slower.
package sampler

import (
	"context"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Ring holds the latest events until a reader takes them. Emit never blocks,
// so that what watches is never held up by who reads.
//
// Concurrency: all methods may be called from several goroutines.
type Ring struct {
	mu     sync.Mutex
	events []observe.Event // events[seq%len]
	last   uint64          // the number of the newest event; the first is 1
	told   uint64          // readers know of events up to this number
	armed  bool            // told will follow in a moment
	more   chan struct{}   // closed when told changes
}

// patience is how long events that nobody waits for are gathered: waking a
// reader costs more than looking does.
const patience = 25 * time.Millisecond

// NewRing is a ring for size events.
func NewRing(size int) *Ring {
	return &Ring{events: make([]observe.Event, size), more: make(chan struct{})}
}

// urgent events are those that somebody may be waiting for.
func urgent(kind string) bool {
	switch kind {
	case observe.KindSample, observe.KindTask, observe.KindLoad, observe.KindCost, observe.KindCalls, observe.KindCall:
		return false
	}
	return true
}

// Emit numbers an event and puts it in, over the oldest if need be.
func (r *Ring) Emit(e observe.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Clock, e.Seq = observe.Guest, r.last
	r.events[r.last%uint64(len(r.events))] = e
	switch {
	case urgent(e.Kind):
		r.tell()
	case !r.armed:
		r.armed = true
		time.AfterFunc(patience, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.armed = false
			r.tell()
		})
	}
}

// Last is the number of the newest event.
func (r *Ring) Last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func (r *Ring) tell() {
	if r.told != r.last {
		r.told = r.last
		close(r.more)
		r.more = make(chan struct{})
	}
}

// Next waits for events after number seq and appends up to cap(into) of them
// to into. lost is how many of those asked for are no longer there.
func (r *Ring) Next(ctx context.Context, seq uint64, into []observe.Event) (events []observe.Event, lost uint64, err error) {
	for {
		r.mu.Lock()
		if r.told > seq {
			break
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return into, 0, ctx.Err()
		}
	}
	defer r.mu.Unlock()
	if size := uint64(len(r.events)); r.last-seq > size {
		lost = r.last - seq - size
		seq += lost
	}
	for seq < r.last && len(into) < cap(into) {
		seq++
		into = append(into, r.events[seq%uint64(len(r.events))])
	}
	return into, lost, nil
}
