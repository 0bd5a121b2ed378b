// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"sync"
)

// Gate holds watchers still. A guest that is about to be saved shuts it: its
// forks would begin with the work of a watcher, whose code an emulator has yet
// to translate, before anybody has asked them anything.
//
// The zero value is open, and so is nil.
type Gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when it opens; nil: it is open
}

// Shut holds those that come to Wait from now on.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// Open lets all go.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// Wait returns when the gate is open or ctx has ended.
func (g *Gate) Wait(ctx context.Context) {
	if g == nil {
		return
	}
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return
	}
	select {
	case <-shut:
	case <-ctx.Done():
	}
}
