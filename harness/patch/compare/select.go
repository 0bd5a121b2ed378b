// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"slices"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Selection is what a live patch carries of a unit.
type Selection struct {
	// Object holds the changed functions and what they need that the running
	// kernel does not have: new functions and data, constants, and the
	// functions' entries in the kernel's tables. Every section of it has a
	// section symbol.
	Object *object.Object
	// Patched are the functions to be hooked: symbols of the pre object and
	// of Object alike.
	Patched []string
	// Olds are the undefined symbols of Object that mean something the pre
	// object defines, with its symbol there: static functions and data,
	// global ones as well, and functions of which the patch keeps an address
	// (the kernel's own, which stays when the patch goes). An undefined symbol
	// that is not in it is a global name defined elsewhere.
	Olds map[*object.Symbol]*object.Symbol
	// Keys are the static keys, static calls and tracepoints that the selected
	// code depends on. Who owns them must be there when the patch is loaded.
	Keys []Key
	// New are functions and data that the pre object lacks, by name.
	New []string
	// Kept are new functions whose address the selected code keeps: what
	// stores it must be gone before the patch is.
	Kept []string
	// Stored are addresses of the selection's own data that its code writes to
	// memory which may outlast the patch.
	Stored []Stored
}

// KeyKind is a mechanism that patches code by a key.
type KeyKind string

const (
	StaticBranch KeyKind = "static key"
	StaticCall   KeyKind = "static call"
)

// Key is one use of a static key or static call.
type Key struct {
	Kind     KeyKind
	Function string         // that depends on it
	Symbol   *object.Symbol // of Object: the key, or the trampoline of a static call
}

// selector picks and rewrites.
type selector struct {
	*Difference
	hooked   map[*atom]bool // post atoms that replace one of the kernel
	carried  map[*atom]bool // changed ones that come along with the callers, which are hooked
	included map[*atom]bool
	queue    []*atom
	refused  *multierror.Error
	kept     map[string]bool
}

// Select takes out of the post object what a live patch carries. wanted are
// names that other objects of the patch begin to use: new data of these names
// comes along although nothing here uses it. What cannot be patched is refused:
// every reason is a *refusal.Refusal, several come as a *multierror.Error.
func Select(pre, post *object.Object, d *Difference, wanted ...string) (*Selection, error) {
	if d == nil || d.comparison == nil || d.pre.object != pre || d.post.object != post {
		var err error
		if d, err = Compare(pre, post); err != nil {
			return nil, err
		}
	}
	s := &selector{Difference: d, hooked: map[*atom]bool{}, carried: map[*atom]bool{}, included: map[*atom]bool{}, kept: map[string]bool{}}
	if d.Empty() {
		return nil, s.refusal(refusal.Refusal{Code: refusal.NoEffect, Text: "nothing that is built changes", Advice: "comments, line numbers and debug information are no change; see that the diff touches what this kernel builds"})
	}
	s.hook()
	s.want(wanted)
	s.judge()
	s.close()
	if err := s.refused.ErrorOrNil(); err != nil {
		if len(s.refused.Errors) == 1 {
			return nil, s.refused.Errors[0]
		}
		return nil, err
	}
	if len(s.included) == 0 {
		return nil, s.refusal(refusal.Refusal{Code: refusal.NoEffect, Text: "only what nothing uses any more goes away", Advice: "see that the diff touches what this kernel builds"})
	}
	return s.extract()
}

func (s *selector) refusal(r refusal.Refusal) error {
	if r.File == "" {
		r.File = s.File
	}
	return &r
}

func (s *selector) refuse(r refusal.Refusal) {
	s.refused = multierror.Append(s.refused, s.refusal(r))
}

// hook finds the functions that replace one of the kernel. A part without an
// entry of its own stands for the function it belongs to.
func (s *selector) hook() {
	for _, f := range s.Functions {
		for _, m := range f.Members {
			whole, part := cold(m.Name)
			if m.Status != Changed && !(part && m.Status != Same) {
				continue
			}
			if b := s.post.code[whole]; b != nil && s.from[b] != nil {
				s.hooked[b] = true
			}
		}
	}
	s.throughCallers()
	for _, b := range s.post.atoms {
		// New functions that other units may call.
		if s.hooked[b] || b.code && len(b.symbols) > 0 && s.from[b] == nil && !b.local() && !boot(b.section.Name) {
			s.include(b)
		}
	}
}

// want includes new data that other units use. New functions are there in any
// case.
func (s *selector) want(names []string) {
	for _, b := range s.post.atoms {
		if b.code || b.handling != kept || len(b.symbols) == 0 || b.local() || s.from[b] != nil || !plainSection(attribute(b.section.Name, b.name())) {
			continue
		}
		if slices.ContainsFunc(b.symbols, func(y *object.Symbol) bool { return slices.Contains(names, y.Name) }) {
			s.include(b)
		}
	}
}

func (s *selector) include(a *atom) {
	if !s.included[a] {
		s.included[a] = true
		s.queue = append(s.queue, a)
	}
}

// close includes whatever the included ones need.
func (s *selector) close() {
	for len(s.queue) > 0 {
		a := s.queue[0]
		s.queue = s.queue[1:]
		for i := range a.refs {
			s.follow(a, &a.refs[i])
		}
		for _, e := range a.entries {
			if e.made {
				continue
			}
			if e.reason != "" {
				s.refuse(refusal.Refusal{Code: refusal.Special, Function: parent(a.name()), Text: e.reason, Advice: "patch a caller of it instead"})
			}
			for i := range e.refs {
				if i > 0 {
					s.follow(a, &e.refs[i])
				}
			}
		}
	}
}

func (s *selector) follow(a *atom, r *ref) {
	if r.target == nil {
		return
	}
	if s.brought(a, r) {
		s.include(r.target)
	}
	if name, ok := s.unsure[r.target]; ok && !s.included[r.target] && s.from[r.target] != nil {
		s.refuse(refusal.Refusal{
			Code: refusal.Ambiguous, Function: parent(a.name()), Text: "has several static variables named " + name + ", and which of them is new cannot be told",
			Advice: "give the new one another name",
		})
		delete(s.unsure, r.target)
	}
}

// brought says that what a refers to comes with the patch; else it is the
// running kernel's.
func (s *selector) brought(a *atom, r *ref) bool {
	t := r.target
	switch {
	case t == a:
		// Its own address is the one that the kernel knows it by.
		return r.call || r.place != int64(t.start) || !t.code || s.from[t] == nil
	case !pairable(t):
		return true
	case !t.code:
		return s.from[t] == nil
	}
	if whole, part := cold(t.name()); part {
		return s.included[s.post.code[whole]] || s.from[t] == nil
	}
	if s.from[t] == nil {
		if !r.call && r.place == int64(t.start) {
			s.kept[t.name()] = true
		}
		return true
	}
	if s.carried[t] {
		return true
	}
	// An address that is kept must outlive the patch.
	return s.hooked[t] && (r.call || r.place != int64(t.start))
}

// patched are the names to hook, sorted.
func (s *selector) patched() []string {
	var names []string
	for b := range s.hooked {
		names = append(names, b.name())
	}
	slices.Sort(names)
	return names
}
