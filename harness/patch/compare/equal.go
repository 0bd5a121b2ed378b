// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// outcome of a comparison of two atoms.
type outcome struct {
	why   string // the first thing that differs, for people; "": nothing
	lines bool   // line numbers differ
}

// comparison compares atoms under a pairing.
type comparison struct {
	*pairing
	moved Moved
	known map[[2]*atom]outcome
	// busy are pairs without names whose comparison is under way: one that
	// refers to itself does not differ for that.
	busy map[[2]*atom]bool
}

// deepestContent is how many things without names may refer to each other in
// a chain before two of them are taken to differ.
const deepestContent = 1000

// same compares what two atoms are.
func (c *comparison) same(a, b *atom) outcome {
	k := [2]*atom{a, b}
	if o, ok := c.known[k]; ok {
		return o
	}
	if c.busy[k] {
		return outcome{}
	}
	if len(c.busy) > deepestContent {
		return outcome{why: "too many things without names that refer to each other"}
	}
	c.busy[k] = true
	o := c.compute(a, b)
	delete(c.busy, k)
	c.known[k] = o
	return o
}

func (c *comparison) compute(a, b *atom) (o outcome) {
	if a.size() != b.size() {
		o.why = fmt.Sprintf("%d bytes instead of %d", b.size(), a.size())
		return o
	}
	if a.handling != b.handling || a.code != b.code {
		o.why = "another kind of thing"
		return o
	}
	if at := c.bytesDiffer(a, b, &o); at >= 0 {
		o.why = fmt.Sprintf("byte %#x", at)
		return o
	}
	if why := c.sameRefs(a.refs, b.refs, &o); why != "" {
		o.why = why
		return o
	}
	o.why = c.sameEntries(a, b, &o)
	return o
}

// bytesDiffer gives the place of the first byte that differs by more than a
// line number, -1 without one.
func (c *comparison) bytesDiffer(a, b *atom, o *outcome) int {
	x, y := a.bytes(), b.bytes()
	if len(x) != len(y) { // one is all zeros by its section's type
		zero := func(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
		if zero(x) && zero(y) {
			return -1
		}
		return 0
	}
	if bytes.Equal(x, y) {
		return -1
	}
	if x, y := a.withoutLines(), b.withoutLines(); x != nil && bytes.Equal(x, y) {
		o.lines = true
		return -1
	}
	if a.code {
		at, lines := c.onlyLines(a, b)
		o.lines = o.lines || lines
		return at
	}
	for i := range x {
		if x[i] != y[i] {
			return i
		}
	}
	return -1
}

func (c *comparison) sameRefs(a, b []ref, o *outcome) string {
	for i := range min(len(a), len(b)) {
		if why := c.sameRef(&a[i], &b[i], o); why != "" {
			return why
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d references instead of %d", len(b), len(a))
	}
	return ""
}

func (c *comparison) sameRef(x, y *ref, o *outcome) string {
	differ := fmt.Sprintf("reference to %s instead of %s", y, x)
	if x.at != y.at || x.typ != y.typ || (x.section == nil) != (y.section == nil) {
		return differ
	}
	if x.section == nil {
		if x.symbol.Name != y.symbol.Name || x.symbol.Index != y.symbol.Index || x.addend != y.addend {
			return differ
		}
		return ""
	}
	if x.entry != nil && y.entry != nil {
		e, f := x.entry, y.entry
		if e.table != f.table || e.at != f.at || x.place-int64(e.start) != y.place-int64(f.start) {
			return differ
		}
		if !c.paired(e.owner(), f.owner()) {
			return differ
		}
		return ""
	}
	k := c.pre.kinds[x.section]
	if k != c.post.kinds[y.section] {
		return differ
	}
	switch {
	case k == merged:
		m, n := x.constant(), y.constant()
		switch {
		case m == nil && x.place != y.place:
			return differ
		case bytes.Equal(m, n):
		case sameButLines(m, n):
			o.lines = true
		default:
			return differ
		}
		return ""
	case x.target == nil || y.target == nil:
		if x.target != nil || y.target != nil || x.section.Name != y.section.Name || x.place != y.place {
			return differ
		}
		return ""
	}
	if x.place-int64(x.target.start) != y.place-int64(y.target.start) {
		return differ
	}
	if pairable(x.target) || pairable(y.target) {
		if !c.paired(x.target, y.target) {
			return differ
		}
		return ""
	}
	inner := c.same(x.target, y.target)
	o.lines = o.lines || inner.lines
	if inner.why != "" {
		return fmt.Sprintf("what it refers to, %s: %s", y, inner.why)
	}
	return ""
}

func (c *comparison) paired(a, b *atom) bool {
	if a == nil || b == nil {
		return a == b
	}
	if pairable(a) || pairable(b) {
		return c.to[a] == b
	}
	return true // parts without names of what is compared anyway
}

// constant is what a reference to a section of constants means: the string
// from there on, or the one constant.
func (r *ref) constant() []byte {
	if r.place < 0 || uint64(r.place) >= uint64(len(r.section.Data)) {
		return nil
	}
	b := r.section.Data[r.place:]
	if n := int(r.section.Entsize); n > 1 { // wide strings as well: up to the end of one unit is enough to tell
		return b[:min(n, len(b))]
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i+1]
	}
	return b
}

func (r *ref) String() string {
	name := r.symbol.Name
	if r.target != nil && r.target.name() != "" {
		name = r.target.name()
	} else if r.section != nil {
		if s := r.constant(); s != nil && r.section.Entsize == 1 {
			return fmt.Sprintf("%q", strings.TrimRight(string(s), "\x00"))
		}
		name = r.section.Name
	}
	return name
}

func (c *comparison) sameEntries(a, b *atom, o *outcome) string {
	x, y := loud(a.entries), loud(b.entries)
	for i := range min(len(x), len(y)) {
		if why := c.sameEntry(x[i], y[i], o); why != "" {
			return fmt.Sprintf("%s: %s", y[i].section.Name, why)
		}
	}
	if len(x) != len(y) {
		return fmt.Sprintf("%d entries in the kernel's tables instead of %d", len(y), len(x))
	}
	return ""
}

func loud(all []*entry) []*entry {
	var kept []*entry
	for _, e := range all {
		if !e.quiet {
			kept = append(kept, e)
		}
	}
	return kept
}

func (c *comparison) sameEntry(x, y *entry, o *outcome) string {
	if x.table != y.table || x.section.Name != y.section.Name || x.at != y.at || len(x.refs) != len(y.refs) {
		return "an entry for another place"
	}
	m, n := x.content(), y.content()
	if at := x.lineAt(); at >= 0 && y.lineAt() == at {
		m, n = slices.Clone(x.bytes()), slices.Clone(y.bytes())
		if !bytes.Equal(m[at:at+2], n[at:at+2]) {
			o.lines = true
		}
		copy(m[at:at+2], n[at:at+2])
		m, n = bytes.TrimRight(m, "\x00"), bytes.TrimRight(n, "\x00")
	}
	if !bytes.Equal(m, n) {
		return "another entry"
	}
	for i := range x.refs {
		if i == 0 {
			continue // its place in the owner, compared above
		}
		if why := c.sameRef(&x.refs[i], &y.refs[i], o); why != "" {
			return why
		}
	}
	return ""
}
