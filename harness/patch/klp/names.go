// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// target is what an undefined symbol of a part becomes in the module.
type target struct {
	// section is the object with which the relocation is applied: VMLinux when
	// the module is loaded, a module when that one is patched.
	section string
	object  string
	name    string
	sympos  uint64
}

// symbol is the name that the kernel's livepatch takes apart.
func (t target) symbol() string {
	return fmt.Sprintf(".klp.sym.%s.%s,%d", t.object, t.name, t.sympos)
}

// links says by which names the parts are linked together. Symbols that
// livepatch is to look up keep the names they have in the source where these
// can mean one thing only, since objtool knows functions by name (those that
// do not return, trampolines of static calls); where not, they get a name
// that nothing else has.
type links struct {
	exports exports
	targets map[string]target // by the name used for linking
	names   []map[*object.Symbol]string
	shared  map[string]bool // defined by one part for another
}

// newLinks decides on the names.
func newLinks(m *Module, e exports) *links {
	l := &links{exports: e, targets: map[string]target{}, shared: map[string]bool{}}
	meanings := map[string]map[target]bool{}
	taken := map[string]bool{} // for an ordinary meaning
	var all []map[*object.Symbol]target
	for _, p := range m.Parts {
		mine := map[*object.Symbol]target{}
		for _, s := range p.Code.Symbols {
			if !s.Undefined() {
				continue
			}
			t, looked := l.target(&p, s)
			if !looked {
				taken[s.Name] = true
				continue
			}
			mine[s] = t
			if meanings[s.Name] == nil {
				meanings[s.Name] = map[target]bool{}
			}
			meanings[s.Name][t] = true
		}
		all = append(all, mine)
	}
	for _, p := range m.Parts {
		for _, s := range p.Code.Symbols {
			if !s.Undefined() && s.Bind != elf.STB_LOCAL && taken[s.Name] {
				l.shared[s.Name] = true
			}
		}
	}
	for _, mine := range all {
		names := map[*object.Symbol]string{}
		for s, t := range mine {
			name := s.Name
			if _, exported := e[name]; exported || taken[name] || len(meanings[name]) > 1 || name == "" {
				name = fmt.Sprintf("__klp.%s%s", t.section, t.symbol())
			}
			names[s] = name
			l.targets[name] = t
		}
		l.names = append(l.names, names)
	}
	return l
}

// target says what livepatch is to look up for an undefined symbol of a part;
// !ok: nothing, it is for the loader.
func (l *links) target(p *Part, s *object.Symbol) (t target, ok bool) {
	known, ok := p.Symbols[s]
	if !ok {
		return t, false
	}
	if known.Exported && known.Object == VMLinux && known.Name == s.Name && l.exports.plain(s.Name) {
		return t, false
	}
	t = target{section: VMLinux, object: known.Object, name: known.Name, sympos: known.Sympos}
	if known.Object != VMLinux {
		t.section = p.Object
	}
	return t, true
}

// describe is a text of all that is done to the linked file.
func (l *links) describe() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.targets)) {
		fmt.Fprintf(&b, "%s %s %s\n", name, l.targets[name].section, l.targets[name].symbol())
	}
	return b.String()
}

// newMark names the place of a new function, in its part and in the tables,
// which are put together only after the link: so functions stay local.
func newMark(part, function int) string { return fmt.Sprintf("__klp_new.%d.%d", part, function) }

const (
	trampoline = "__SCT__" // of a static call
	callKey    = "__SCK__"
)

// part is a copy of part i's code as it goes into the build.
func (l *links) part(i int, p *Part) (*object.Object, error) {
	o, copies := p.Code.Clone()
	o.Name = fmt.Sprintf("part %d (%s)", i, p.Code.Name)
	joinPerCPU(o)
	have := map[string]bool{}
	for _, s := range p.Code.Symbols {
		c := copies[s]
		have[s.Name] = true
		switch {
		case l.names[i][s] != "":
			c.Name, c.Bind = l.names[i][s], elf.STB_GLOBAL
		case !s.Undefined() && !l.shared[s.Name]:
			c.Bind = elf.STB_LOCAL
		}
	}
	// A static call whose trampoline is not exported needs its key in the
	// table of sites, which objtool takes if the symbol is there.
	for _, s := range p.Code.Symbols {
		name, call := strings.CutPrefix(s.Name, trampoline)
		t, looked := l.targets[l.names[i][s]]
		if !call || !looked || have[callKey+name] {
			continue
		}
		if t.object != VMLinux || l.names[i][s] != s.Name {
			continue // judged when the sites are known
		}
		t.name = callKey + strings.TrimPrefix(t.name, trampoline)
		o.Symbols = append(o.Symbols, &object.Symbol{Name: callKey + name, Bind: elf.STB_GLOBAL})
		l.targets[callKey+name] = t
		have[callKey+name] = true
	}
	for n, f := range p.Functions {
		at := definition(o, f.New)
		if at == nil {
			return nil, fmt.Errorf("%s has no function %s to replace %s with", o.Name, f.New, f.Old)
		}
		o.Symbols = append(o.Symbols, &object.Symbol{Name: newMark(i, n), Bind: elf.STB_LOCAL, Section: at.Section, Value: at.Value})
	}
	return o, nil
}

// definition is the function called name of the object.
func definition(o *object.Object, name string) *object.Symbol {
	for _, s := range o.Symbols {
		if s.Name == name && s.Section != nil && s.Type == elf.STT_FUNC {
			return s
		}
	}
	return nil
}
