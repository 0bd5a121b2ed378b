// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// LayoutChange is a type whose objects in the running kernel do not fit the
// changed code.
type LayoutChange struct {
	Place        // of the type after the change
	Name  string // "struct x", "union x", "enum x", or a typedef's name
	What  string // for people: what about it is other
	// Renamed says that a member has another name and nothing else changes:
	// memory fits, but perhaps the old contents do not fit the new meaning.
	Renamed bool
}

// Refusal is the sentence about it.
func (c *LayoutChange) Refusal() *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.Layout, File: c.File, Line: c.Line, Text: fmt.Sprintf("%s has another shape: %s; objects made before the patch lack the change", c.Name, c.What),
		Advice: "keep the type as it is and attach what is new with a shadow variable (klp_shadow_alloc)",
	}
}

// Layouts compares the types that two objects of one translation unit have,
// both compiled with -g.
func Layouts(preDebug, postDebug io.ReaderAt) ([]LayoutChange, error) {
	pre, err := ReadDebugInfo(preDebug, "")
	if err != nil {
		return nil, fmt.Errorf("before the change: %w", err)
	}
	post, err := ReadDebugInfo(postDebug, "")
	if err != nil {
		return nil, fmt.Errorf("after the change: %w", err)
	}
	return pre.Layouts(post), nil
}

// Layouts compares the types with those after the change.
func (d *DebugInfo) Layouts(post *DebugInfo) []LayoutChange {
	var all []LayoutChange
	for _, name := range slices.Sorted(maps.Keys(post.shapes)) {
		before, ok := d.shapes[name]
		if !ok {
			continue
		}
		after := post.shapes[name]
		if what, renamed := before.differs(after); what != "" {
			all = append(all, LayoutChange{Place: after.Place, Name: name, What: what, Renamed: renamed})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(post.enumerators)) {
		before, ok := d.enumerators[name]
		after := post.enumerators[name]
		// The largest of an enum often counts the others; what it counts is
		// seen elsewhere.
		if !ok || before.value == after.value || before.last && after.last && after.value > before.value {
			continue
		}
		all = append(all, LayoutChange{Place: after.Place, Name: "enum " + after.enum, What: fmt.Sprintf("%s is %d instead of %d", name, after.value, before.value)})
	}
	return all
}

// differs says for people what differs between two shapes of a type.
func (s shape) differs(t shape) (what string, renamed bool) {
	for i := range min(len(s.members), len(t.members)) {
		a, b := s.members[i], t.members[i]
		switch {
		case a == b:
		case a.name != b.name && len(s.members) < len(t.members):
			return "new member " + title(b), false
		case a.name != b.name && len(s.members) > len(t.members):
			return "no member " + title(a) + " any more", false
		case a.name != b.name && (s.has(b.name) || t.has(a.name)):
			return fmt.Sprintf("member %s where %s was", title(b), title(a)), false
		case a.name != b.name && a.typ == b.typ && a.offset == b.offset && a.bits == b.bits:
			what, renamed = fmt.Sprintf("member %s is now %s", title(a), title(b)), true
		case a.typ != b.typ:
			return fmt.Sprintf("member %s has another type", title(b)), false
		case a.name == b.name && a.bits != b.bits:
			return fmt.Sprintf("member %s has %d bits instead of %d", title(b), b.bits, a.bits), false
		case a.name == b.name:
			return fmt.Sprintf("member %s is at bit %d instead of %d", title(b), b.offset, a.offset), false
		default:
			return fmt.Sprintf("member %s instead of %s", title(b), title(a)), false
		}
	}
	switch {
	case len(s.members) < len(t.members):
		return "new member " + title(t.members[len(s.members)]), false
	case len(s.members) > len(t.members):
		return "no member " + title(s.members[len(t.members)]) + " any more", false
	case s.size != t.size:
		return fmt.Sprintf("%d bytes instead of %d", t.size, s.size), false
	}
	return what, renamed
}

func (s shape) has(name string) bool {
	return slices.ContainsFunc(s.members, func(m member) bool { return m.name == name })
}

func title(m member) string {
	if m.name == "" {
		return "without a name"
	}
	return m.name
}

// Signatures refuses other parameters or results of exported functions:
// modules that are not part of the patch call them as they were.
func (d *DebugInfo) Signatures(post *DebugInfo, exported []string) error {
	var all *multierror.Error
	for _, name := range exported {
		before, ok := d.functions[name]
		after, still := post.functions[name]
		if !ok || !still || before.signature == after.signature {
			continue
		}
		all = multierror.Append(all, &refusal.Refusal{
			Code: refusal.Signature, File: after.File, Line: after.Line, Function: name,
			Text: fmt.Sprintf("is exported and is now %s instead of %s; modules call it as it was", after.signature, before.signature), Advice: "give the new one another name and let the old one call it",
		})
	}
	return all.ErrorOrNil()
}

// Locate gives the refusals in err the file and line of their functions.
func (d *DebugInfo) Locate(err error) {
	var all []error
	switch e := err.(type) {
	case *multierror.Error:
		all = e.Errors
	default:
		all = []error{err}
	}
	for _, e := range all {
		if r, ok := e.(*refusal.Refusal); ok && r.Line == 0 {
			if p, ok := d.Place(r.Function); ok {
				r.File, r.Line = p.File, p.Line
			}
		}
	}
}
