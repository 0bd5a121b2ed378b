// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"sync"

	"github.com/switchyard-project/switchyard/harness/vm"
)

// pool keeps a QEMU waiting for the next fork of each snapshot used last, so
// that a suite does not wait for QEMU's start. They end with this process, or
// with close. A waiting QEMU takes no CPU and 30 MB; at most size wait.
//
// All methods work on nil, which keeps none.
type pool struct {
	size int

	mu       sync.Mutex
	closed   bool
	waiting  []pooled // the one used longest ago first
	starting sync.WaitGroup
}

// pooled waits to become a fork of s: of that very snapshot, as another one
// may be made in the same place.
type pooled struct {
	s *vm.Snapshot
	w *vm.Waiting
}

// take gives a QEMU that waits to become a fork of s; nil if there is none.
func (p *pool) take(s *Snapshot) *vm.Waiting {
	for w := p.remove(s); w != nil; w = p.remove(s) {
		if w.Alive() {
			return w
		}
		w.Close()
	}
	return nil
}

func (p *pool) remove(s *Snapshot) *vm.Waiting {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.waiting {
		if c.s == s.Snapshot {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			return c.w
		}
	}
	return nil
}

// refill has a QEMU wait for the next fork of s. It returns at once.
func (p *pool) refill(s *Snapshot) {
	if p == nil || p.size < 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.starting.Go(func() {
		w, err := s.Ready(context.Background(), s.machine)
		if err != nil {
			return // the next fork will say why
		}
		p.add(pooled{s: s.Snapshot, w: w})
	})
}

// add has c wait, and ends those that are too many then.
func (p *pool) add(c pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.w.Close()
		return
	}
	p.waiting = append(p.waiting, c)
	for len(p.waiting) > p.size {
		p.waiting[0].w.Close()
		p.waiting = p.waiting[1:]
	}
}

// drop ends those that wait for s.
func (p *pool) drop(s *Snapshot) {
	for w := p.remove(s); w != nil; w = p.remove(s) {
		w.Close()
	}
}

// close ends all, and lets none wait from now on.
func (p *pool) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = true
	for _, c := range p.waiting {
		c.w.Close()
	}
	p.waiting = nil
	p.mu.Unlock()
	p.starting.Wait() // they see that it is closed
}
