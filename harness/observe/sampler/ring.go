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
	more   chan struct{}   // closed when there is more
}

// NewRing is a ring for size events.
func NewRing(size int) *Ring {
	return &Ring{events: make([]observe.Event, size), more: make(chan struct{})}
}

// Emit numbers an event and puts it in, over the oldest if need be.
func (r *Ring) Emit(e observe.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Clock, e.Seq = observe.Guest, r.last
	r.events[r.last%uint64(len(r.events))] = e
	close(r.more)
	r.more = make(chan struct{})
}

// Next waits for events after number seq and appends up to cap(into) of them
// to into. lost is how many of those asked for are no longer there.
func (r *Ring) Next(ctx context.Context, seq uint64, into []observe.Event) (events []observe.Event, lost uint64, err error) {
	for {
		r.mu.Lock()
		if r.last > seq {
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
