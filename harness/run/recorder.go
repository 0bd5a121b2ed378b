// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/digitalocean/go-qemu/qmp"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// recorder is the timeline while it grows: every event goes to disk first,
// then to whoever waits for it.
type recorder struct {
	log *observe.Log

	mu     sync.Mutex
	events observe.Timeline
	news   chan struct{} // closed and replaced with every event
	err    error         // the first failure to write
	over   error         // why no more events of the guest will come
}

func newRecorder(log *observe.Log) *recorder {
	return &recorder{log: log, news: make(chan struct{})}
}

func (r *recorder) add(e observe.Event) error {
	// Both in one order: a mark is a place in the file as well.
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.log.Append(e)
	if err != nil && r.err == nil {
		r.err = err
	}
	r.events = append(r.events, e)
	close(r.news)
	r.news = make(chan struct{})
	return err
}

// end tells those who wait that no more events of the guest will come.
func (r *recorder) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = why
	close(r.news)
	r.news = make(chan struct{})
}

// action records what the harness does, on the host's clock.
func (r *recorder) action(name, detail, edge string, err error) {
	a := &observe.Action{Name: name, Detail: detail, Edge: edge}
	if err != nil {
		a.Error = err.Error()
	}
	_ = r.add(observe.Event{Clock: observe.Host, T: observe.Monotonic(), Kind: observe.KindAction, Action: a})
}

// heardQEMU records an event of QEMU's.
func (r *recorder) heardQEMU(e qmp.Event) { _ = r.add(qemuEvent(e)) }

// qemuEvent is e as it goes into a log.
func qemuEvent(e qmp.Event) observe.Event {
	raw, _ := json.Marshal(e) // it was JSON before
	return observe.Event{Clock: observe.Host, T: observe.Monotonic(), Kind: observe.KindQMP, Raw: raw}
}

// forgetGuest drops what the guest has told so far, but that it is watched: it
// was told for nobody. (The log keeps it.)
func (r *recorder) forgetGuest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept observe.Timeline
	for _, e := range r.events {
		if e.Clock != observe.Guest || e.Kind == observe.KindWatch {
			kept = append(kept, e)
		}
	}
	r.events = kept
}

// mark is the present end of the timeline.
func (r *recorder) mark() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// since gives the events from mark on, without copying them.
func (r *recorder) since(mark int) observe.Timeline {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[mark:len(r.events):len(r.events)]
}

// wait calls look with each event from mark on, in order, as they come, until
// it says true or fails, or ctx ends.
func (r *recorder) wait(ctx context.Context, mark int, look func(observe.Event) (bool, error)) error {
	for {
		r.mu.Lock()
		fresh, news, over := r.events[mark:], r.news, r.over
		r.mu.Unlock()
		for _, e := range fresh {
			mark++
			if done, err := look(e); done || err != nil {
				return err
			}
		}
		if over != nil {
			return over
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// failure is why the timeline on disk is not whole; nil if it is.
func (r *recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
