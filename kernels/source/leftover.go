// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/switchyard-project/switchyard/kernels/guard"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// ticketFile is the file in a build's folder that says what is built there.
const ticketFile = "ticket.json"

// ticket is its content. A tree that did not build is mended and built again,
// which is another key: what was compiled of it must not be lost, nor lie about.
type ticket struct {
	Place    string    `json:"place"`
	Label    string    `json:"label"`
	Source   string    `json:"source"` // name of the cache entry
	Compiler string    `json:"compiler"`
	Begun    time.Time `json:"begun"`
}

func (b *build) writeTicket() error {
	text, err := json.Marshal(ticket{b.plan.origin.place, b.plan.label, filepath.Base(b.source), b.plan.compiler, time.Now().UTC()})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, ticketFile), text, 0o644)
}

// leftover is a build that did not come to its end.
type leftover struct {
	ticket
	dir string
}

// leftovers are the builds of the tree at place that did not come to their end.
func (p *Provider) leftovers(place string) []leftover {
	files, err := filepath.Glob(p.Store.Path(store.Builds, filepath.Join("*", ticketFile)))
	if err != nil {
		return nil
	}
	var all []leftover
	for _, file := range files {
		l := leftover{dir: filepath.Dir(file)}
		text, err := os.ReadFile(file)
		if err == nil && json.Unmarshal(text, &l.ticket) == nil && l.Place == place {
			all = append(all, l)
		}
	}
	return all
}

// inherit takes over the objects of a leftover of the same name and compiler,
// of this copy of the tree or the one before, and removes the others of that
// name: nobody asks for them again.
func (b *build) inherit(ctx context.Context) (taken bool, err error) {
	trees := b.relatedTrees()
	for _, l := range b.p.leftovers(b.plan.origin.place) {
		if l.dir == b.dir || l.Label != b.plan.label {
			continue
		}
		brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		unlock, err := b.p.Store.Lock(brief, store.Builds+"/"+filepath.Base(l.dir))
		cancel()
		if err != nil {
			continue // somebody is at it
		}
		_, started := os.Stat(filepath.Join(l.dir, configured))
		if !taken && started == nil && trees[l.Source] && l.Compiler == b.plan.compiler {
			err = os.Rename(filepath.Join(l.dir, "out"), b.out())
			taken = err == nil
		}
		guard.RemoveAll(l.dir)
		unlock()
		if err != nil {
			return false, err
		}
	}
	if !taken {
		return false, nil
	}
	return true, removeTorn(b.out())
}

// relatedTrees are the cache entries with copies of the tree whose objects can
// be gone on from: this one, and the one it shares files with.
func (b *build) relatedTrees() map[string]bool {
	trees := map[string]bool{filepath.Base(b.source): true}
	if before, err := os.ReadFile(filepath.Join(b.source, previousFile)); err == nil {
		trees[string(before)] = true
	}
	return trees
}
