// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// patch is one folder of /sys/kernel/livepatch as it was at the last look.
type patch struct {
	name                string
	transitionFD        int
	enabledFD           int
	transition, enabled bool
	stacked             bool   // it does not replace those below: 6.11 and later tell
	to                  string // where the transition goes, while there is one
	// settled: since its start `enabled` was seen to be what the transition
	// leads to. The core sets it a moment after `transition`, so only then
	// does a change of it mean a reversal.
	settled bool
}

func (p *patch) close() {
	unix.Close(p.transitionFD)
	unix.Close(p.enabledFD)
}

// patches follows all livepatches and turns looks into edges.
type patches struct {
	root  string // /sys/kernel/livepatch
	dir   *folder
	known []*patch
	names []string
	buf   [16]byte
	first bool  // nothing was looked at yet
	prev  int64 // the look before
	// applied is when an apply was last seen to end, and of which patch: a
	// patch that is gone soon after was replaced by it.
	applied   int64
	appliedBy string
	emit      func(observe.Event)
}

// replaceGrace is how long after an apply's end the folders of replaced
// patches may go: the core frees them from a work queue.
const replaceGrace = 5e9

func newPatches(root string, emit func(observe.Event)) *patches {
	return &patches{root: root, first: true, emit: emit}
}

// look compares what is with what was, as of now, and emits the edges.
// active is the patch in transition, nil if there is none.
func (s *patches) look(t int64) (active *patch) {
	if s.dir == nil {
		// A kernel that has no livepatch yet may not have the folder.
		if s.dir, _ = openFolder(s.root); s.dir == nil {
			return nil
		}
	}
	for _, p := range s.known {
		if !s.read(p, t) {
			s.gone(p, t)
			p.close()
			p.name = ""
		}
	}
	s.known = slices.DeleteFunc(s.known, func(p *patch) bool { return p.name == "" })
	for _, name := range s.list() {
		if name[0] != '.' && !slices.ContainsFunc(s.known, func(p *patch) bool { return p.name == name }) {
			s.add(name, t)
		}
	}
	s.first, s.prev = false, t
	for _, p := range s.known {
		if p.transition {
			active = p
		}
	}
	return active
}

// list gives the names of what is there; none when the folder holds as many
// as are known, all of which have just answered. Its link count says so, by one
// system call in place of three.
func (s *patches) list() []string {
	s.names = s.names[:0]
	var st unix.Stat_t
	if unix.Fstat(s.dir.fd, &st) == nil && st.Nlink == uint64(2+len(s.known)) {
		return nil
	}
	s.dir.rewind()
	for more := true; more; {
		s.names, more = s.dir.next(s.names)
	}
	return s.names
}

// add takes a patch in that was not there before.
func (s *patches) add(name string, t int64) {
	p := &patch{name: name}
	var err error
	if p.transitionFD, err = open(s.root+"/"+name+"/transition", unix.O_RDONLY); err != nil {
		return // gone again, or not a patch
	}
	if p.enabledFD, err = open(s.root+"/"+name+"/enabled", unix.O_RDONLY); err != nil {
		unix.Close(p.transitionFD)
		return
	}
	if fd, err := open(s.root+"/"+name+"/replace", unix.O_RDONLY); err == nil {
		replace, err := readInt(fd, s.buf[:])
		p.stacked = err == nil && replace == 0
		unix.Close(fd)
	}
	if s.first {
		// What was there before we came has a past that we did not see.
		transition, err1 := readInt(p.transitionFD, s.buf[:])
		enabled, err2 := readInt(p.enabledFD, s.buf[:])
		if err1 != nil || err2 != nil {
			p.close()
			return
		}
		p.enabled = enabled == 1
		if transition == 1 {
			// Under way already: it goes to what `enabled` says.
			p.enabled = !p.enabled
			s.start(p, t, true)
			p.enabled = !p.enabled
			p.settled = true
		}
		s.known = append(s.known, p)
		return
	}
	if !s.read(p, t) {
		p.close()
		return
	}
	s.known = append(s.known, p)
}

// read looks at p; false when it is no longer there.
func (s *patches) read(p *patch, t int64) bool {
	// In this order: a transition that ends between the two is seen at the
	// next look, and not taken for a steady state with the old `enabled`.
	transition, err := readInt(p.transitionFD, s.buf[:])
	if err != nil {
		return false
	}
	enabled, err := readInt(p.enabledFD, s.buf[:])
	if err != nil {
		return false
	}
	switch was, is := p.transition, transition == 1; {
	case !was && is:
		s.start(p, t, false)
	case was && !is:
		p.enabled = enabled == 1
		s.end(p, t, false, false)
		return true
	case !was && !is && p.enabled != (enabled == 1):
		if p.enabled && s.replaced(p, t) {
			s.edge(p, t, observe.Transition{Edge: observe.EdgeReplaced})
			p.enabled = false
			return true
		}
		s.start(p, t, true)
		p.enabled = enabled == 1
		s.end(p, t, false, true)
		return true
	}
	if p.transition {
		s.follow(p, t, enabled == 1)
	}
	return true
}

// follow notices reversals while a transition runs.
func (s *patches) follow(p *patch, t int64, enabled bool) {
	if enabled == (p.to == observe.Apply) {
		p.settled = true
	} else if p.settled {
		p.to = opposite(p.to)
		s.edge(p, t, observe.Transition{Edge: observe.EdgeReverse})
	}
	p.enabled = enabled
}

// start: a transition leads away from the steady state before it.
func (s *patches) start(p *patch, t int64, unseen bool) {
	p.to = observe.Apply
	if p.enabled {
		p.to = observe.Revert
	}
	p.transition, p.settled = true, false
	if p.to == observe.Revert && p.name == s.appliedBy {
		s.appliedBy = "" // what goes now was not replaced by it
	}
	s.edge(p, t, observe.Transition{Edge: observe.EdgeStart, Unseen: unseen})
}

func (s *patches) end(p *patch, t int64, vanished, unseen bool) {
	p.transition = false
	if !vanished {
		p.to = observe.Revert
		if p.enabled {
			p.to = observe.Apply
		}
	}
	if p.to == observe.Apply && !p.stacked {
		s.applied, s.appliedBy = t, p.name
	}
	s.edge(p, t, observe.Transition{Edge: observe.EdgeEnd, Vanished: vanished, Unseen: unseen})
}

// gone: p's folder went away.
func (s *patches) gone(p *patch, t int64) {
	switch {
	case p.transition:
		p.to = observe.Revert
		s.end(p, t, true, false)
	case p.enabled && s.replaced(p, t):
		s.edge(p, t, observe.Transition{Edge: observe.EdgeReplaced, Vanished: true})
	case p.enabled:
		s.start(p, t, true)
		s.end(p, t, true, true)
	}
}

func (s *patches) replaced(p *patch, t int64) bool {
	if s.appliedBy != "" && s.appliedBy != p.name && t-s.applied < replaceGrace {
		return true
	}
	// Its replacer may end in this very look, later in the list.
	return slices.ContainsFunc(s.known, func(o *patch) bool { return o != p && !o.stacked && o.transition && o.to == observe.Apply })
}

func (s *patches) edge(p *patch, t int64, tr observe.Transition) {
	tr.Patch, tr.To = p.name, p.to
	if s.prev != 0 {
		tr.SincePrev = t - s.prev
	}
	s.emit(observe.Event{T: t, Kind: observe.KindTransition, Transition: &tr})
}

func (s *patches) close() {
	for _, p := range s.known {
		p.close()
	}
	if s.dir != nil {
		s.dir.close()
	}
}

func opposite(to string) string {
	if to == observe.Apply {
		return observe.Revert
	}
	return observe.Apply
}
