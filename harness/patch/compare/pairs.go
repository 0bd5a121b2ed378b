// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"debug/elf"
	"slices"
)

// pairing says which atom of the one object is which of the other.
type pairing struct {
	pre, post *unit
	to        map[*atom]*atom // pre to post
	from      map[*atom]*atom // post to pre
	// unsure are kept data of which it could not be told which is which.
	unsure map[*atom]string
}

func pair(pre, post *unit) *pairing {
	p := &pairing{pre: pre, post: post, to: map[*atom]*atom{}, from: map[*atom]*atom{}, unsure: map[*atom]string{}}
	p.byName()
	p.byStem()
	// A pair gives more: what it refers to. Until nothing is found any more.
	for n := -1; n != len(p.to); {
		n = len(p.to)
		p.byUse(true)
	}
	for n := -1; n != len(p.to); {
		n = len(p.to)
		p.byUse(false)
		p.byUse(true)
	}
	p.rest()
	return p
}

func (p *pairing) join(a, b *atom) bool {
	if p.to[a] != nil || p.from[b] != nil || a.code != b.code {
		return false
	}
	p.to[a], p.from[b] = b, a
	return true
}

// pairable atoms are known by more than what they hold.
func pairable(a *atom) bool {
	return len(a.symbols) > 0 && (a.code || a.handling == kept)
}

func group(u *unit, key func(a *atom) (string, bool)) (map[string][]*atom, []string) {
	all := map[string][]*atom{}
	var order []string
	for _, a := range u.atoms {
		if !pairable(a) {
			continue
		}
		if k, ok := key(a); ok {
			if all[k] == nil {
				order = append(order, k)
			}
			all[k] = append(all[k], a)
		}
	}
	return all, order
}

// fixedName is a name that is the same in the other object.
func fixedName(a *atom) (string, bool) {
	if a.code {
		return a.name(), true
	}
	_, numbered := stem(a.name())
	return a.name(), !numbered || !a.local()
}

func (p *pairing) byName() {
	pre, _ := group(p.pre, fixedName)
	post, order := group(p.post, fixedName)
	for _, name := range order {
		for i, b := range post[name] {
			if i < len(pre[name]) {
				p.join(pre[name][i], b)
			}
		}
	}
	// An alias may have become the first name.
	names := map[string]*atom{}
	for _, s := range p.pre.object.Symbols {
		if a := p.pre.of[s]; a != nil && s.Value == a.start && s.Bind != elf.STB_LOCAL && pairable(a) && p.to[a] == nil {
			names[s.Name] = a
		}
	}
	for _, s := range p.post.object.Symbols {
		if b := p.post.of[s]; b != nil && s.Value == b.start && s.Bind != elf.STB_LOCAL && pairable(b) && p.from[b] == nil {
			if a := names[s.Name]; a != nil {
				p.join(a, b)
			}
		}
	}
}

// free gives the unpaired ones with numbers in their names, by stem.
func (p *pairing) free(u *unit) (map[string][]*atom, []string) {
	return group(u, func(a *atom) (string, bool) {
		if p.to[a] != nil || p.from[a] != nil || !a.local() {
			return "", false
		}
		return key(a), true
	})
}

// key is what two atoms with numbers in their names must share.
func key(a *atom) string {
	s, _ := stem(a.name())
	if a.code {
		return "code " + s
	}
	return s
}

// byStem pairs clones of functions that got another number.
func (p *pairing) byStem() {
	pre, _ := p.free(p.pre)
	post, order := p.free(p.post)
	for _, s := range order {
		if len(pre[s]) == 1 && len(post[s]) == 1 && post[s][0].code {
			p.join(pre[s][0], post[s][0])
		}
	}
}

// byUse pairs what paired atoms refer to. strict takes only those that are the
// same and refer alike, reference by reference; else what they refer to is
// taken in order, stem by stem.
func (p *pairing) byUse(strict bool) {
	for _, a := range p.pre.atoms {
		b := p.to[a]
		if b == nil {
			continue
		}
		if bytes.Equal(a.bytes(), b.bytes()) && alike(a.refs, b.refs) {
			for i := range a.refs {
				p.alike(a.refs[i].target, b.refs[i].target)
			}
			continue
		}
		if strict {
			continue
		}
		pre, _ := p.used(a)
		post, order := p.used(b)
		for _, s := range order {
			p.inOrder(s, pre[s], post[s])
		}
	}
}

// alike says that two lists of references are of the same shape: places,
// types and names without numbers.
func alike(a, b []ref) bool {
	return slices.EqualFunc(a, b, func(x, y ref) bool {
		if x.at != y.at || x.typ != y.typ || (x.section == nil) != (y.section == nil) || (x.target == nil) != (y.target == nil) {
			return false
		}
		switch {
		case x.section == nil:
			return x.symbol.Name == y.symbol.Name
		case x.target == nil:
			return true
		}
		return key(x.target) == key(y.target) && x.target.code == y.target.code
	})
}

func (p *pairing) alike(a, b *atom) {
	if a == nil || b == nil || !pairable(a) || !pairable(b) || !a.local() || !b.local() || key(a) != key(b) {
		return
	}
	if literal(a) && literal(b) && !bytes.Equal(a.bytes(), b.bytes()) {
		return
	}
	p.join(a, b)
}

// literal says that data is a constant within a function and is known by what it
// holds: no one else can have written it, and of two that hold the same either
// will do. What holds another thing is another one. NL_SET_ERR_MSG makes such.
func literal(a *atom) bool {
	_, numbered := stem(a.name())
	return numbered && a.local() && !a.code && a.section.Flags&elf.SHF_WRITE == 0 && len(a.refs) == 0 && a.section.Type != elf.SHT_NOBITS
}

// byContent pairs literals, and gives those of both lists that are none.
func (p *pairing) byContent(pre, post []*atom) (a, b []*atom) {
	for _, y := range post {
		if !literal(y) {
			b = append(b, y)
			continue
		}
		for _, x := range pre {
			if literal(x) && bytes.Equal(x.bytes(), y.bytes()) && p.join(x, y) {
				break
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(pre), literal), b
}

// used gives the unpaired data with numbers that an atom refers to, in order.
func (p *pairing) used(a *atom) (map[string][]*atom, []string) {
	all := map[string][]*atom{}
	var order []string
	for _, r := range a.refs {
		t := r.target
		if t == nil || t.code || !pairable(t) || !t.local() || p.to[t] != nil || p.from[t] != nil {
			continue
		}
		s := key(t)
		if all[s] == nil {
			order = append(order, s)
		}
		if !slices.Contains(all[s], t) {
			all[s] = append(all[s], t)
		}
	}
	return all, order
}

// inOrder pairs the data of one stem that a changed function uses.
func (p *pairing) inOrder(s string, pre, post []*atom) {
	pre, post = p.byContent(pre, post)
	// What is the same in size and place first; the function may have got one
	// more or lost one.
	same := func(a, b *atom) bool {
		return a.size() == b.size() && a.section.Flags == b.section.Flags && attribute(a.section.Name, a.name()) == attribute(b.section.Name, b.name())
	}
	i := 0
	for _, b := range post {
		for j := i; j < len(pre); j++ {
			if same(pre[j], b) {
				p.join(pre[j], b)
				i = j + 1
				break
			}
		}
	}
	p.doubt(s, pre, post)
}

// doubt notes that data was paired by its order alone, where order is no proof:
// the function may have been turned around.
func (p *pairing) doubt(s string, pre, post []*atom) {
	if len(pre) > 0 && max(len(pre), len(post)) > 1 && !interchangeable[s] {
		for _, b := range post {
			p.unsure[b] = s
		}
	}
}

// rest pairs what no paired code uses, in order, where both have as many.
func (p *pairing) rest() {
	pre, _ := p.free(p.pre)
	post, order := p.free(p.post)
	for _, s := range order {
		before, after := p.byContent(pre[s], post[s])
		if len(before) != len(after) {
			continue
		}
		p.doubt(s, before, after)
		for i, b := range after {
			if before[i].size() == b.size() {
				p.join(before[i], b)
			}
		}
	}
}
