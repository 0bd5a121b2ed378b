// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"context"

	goqmp "github.com/digitalocean/go-qemu/qmp"
)

// queue is how many events a subscriber may leave undrained before the
// oldest are dropped. QEMU itself limits the rate of those that a guest can
// cause at will.
const queue = 256

type subscription struct {
	events chan goqmp.Event
	stop   func() bool
}

// Events streams events from now on until ctx ends or the connection does;
// then the channel is closed, after what is queued. Each call has a queue of
// its own; one that nobody drains loses its oldest events and hinders nobody.
func (m *Monitor) Events(ctx context.Context) (<-chan goqmp.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sub := &subscription{events: make(chan goqmp.Event, queue)}
	if m.err != nil {
		close(sub.events)
		return sub.events, nil
	}
	m.subs[sub] = struct{}{}
	sub.stop = context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.unsubscribe(sub)
	})
	return sub.events, nil
}

// unsubscribe needs m.mu.
func (m *Monitor) unsubscribe(sub *subscription) {
	if _, there := m.subs[sub]; there {
		delete(m.subs, sub)
		sub.stop()
		close(sub.events)
	}
}

func (m *Monitor) publish(event goqmp.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for sub := range m.subs {
		for {
			select {
			case sub.events <- event:
			default:
				select {
				case <-sub.events: // the oldest goes
				default: // drained meanwhile
				}
				continue
			}
			break
		}
	}
}
