// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// extraction makes the object of a selection.
type extraction struct {
	*selector
	out       *object.Object
	sections  map[*object.Section]*object.Section // of post to made
	symbolOf  map[*object.Section]*object.Symbol  // section symbols of made ones
	copies    map[*object.Symbol]*object.Symbol   // of post to made
	at        map[*atom]int64                     // where an atom's start went
	rowAt     map[*entry]int64
	constants map[*object.Section]map[int64]int64 // of merged sections: start of a constant to where it went
	undefined map[string]*object.Symbol
	tooLarge  bool
	olds      map[*atom]*object.Symbol // by pre atom
	selection *Selection
}

func (s *selector) extract() (*Selection, error) {
	x := &extraction{
		selector: s, out: &object.Object{Name: s.post.object.Name},
		sections: map[*object.Section]*object.Section{}, symbolOf: map[*object.Section]*object.Symbol{}, copies: map[*object.Symbol]*object.Symbol{},
		at: map[*atom]int64{}, rowAt: map[*entry]int64{}, constants: map[*object.Section]map[int64]int64{},
		undefined: map[string]*object.Symbol{}, olds: map[*atom]*object.Symbol{},
		selection: &Selection{Patched: s.patched(), Olds: map[*object.Symbol]*object.Symbol{}},
	}
	x.selection.Object = x.out
	if s.post.file != "" {
		x.out.Symbols = append(x.out.Symbols, &object.Symbol{Name: s.post.file, Type: elf.STT_FILE, Index: elf.SHN_ABS})
	}
	// Places first, then what refers to them.
	for _, section := range s.post.object.Sections {
		x.placeAtoms(section)
		x.placeRows(section)
	}
	for old, made := range x.sections {
		made.Linked = x.linked(old)
	}
	x.copySymbols()
	for _, section := range s.post.object.Sections {
		for _, a := range s.post.in[section] {
			if x.included[a] {
				if err := x.relocate(a, a.refs, x.sections[section], x.at[a]); err != nil {
					return nil, err
				}
			}
		}
		for _, e := range s.post.rows[section] {
			if at, ok := x.rowAt[e]; ok {
				if err := x.relocate(e.refs[0].target, e.refs, x.sections[section], at); err != nil {
					return nil, err
				}
			}
		}
	}
	if x.tooLarge {
		return nil, fmt.Errorf("%s: what changed takes more than %d bytes by its alignment, which is not believed", s.post.object.Name, largest)
	}
	for _, name := range x.selection.Patched {
		if !slices.ContainsFunc(x.out.Symbols, func(y *object.Symbol) bool { return y.Name == name && y.Section != nil && y.Type == elf.STT_FUNC }) {
			return nil, fmt.Errorf("%s: what is called %s is no function", s.post.object.Name, name)
		}
	}
	for _, made := range x.out.Sections {
		slices.SortStableFunc(made.Relocs, func(a, b object.Reloc) int { return cmp.Compare(a.Offset, b.Offset) })
	}
	x.selection.Kept, x.selection.Stored = slices.Sorted(maps.Keys(s.kept)), s.stored()
	return x.selection, nil
}

// largest is the size in bytes above which a section of a patch is not
// believed: alignment can make a few bytes many.
const largest = 1 << 28

// room gives the new section for one of post, with room for n bytes that lay
// at from: the alignment of from is kept.
func (x *extraction) room(old *object.Section, from, n uint64) (*object.Section, uint64) {
	made := x.sections[old]
	if made == nil {
		made = &object.Section{Name: old.Name, Type: old.Type, Flags: old.Flags &^ elf.SHF_GROUP, Align: old.Align, Entsize: old.Entsize}
		if old.Linked == nil || x.post.kinds[old] == merged { // constants go with no other section
			made.Flags &^= elf.SHF_LINK_ORDER
		}
		x.sections[old] = made
		x.out.Sections = append(x.out.Sections, made)
	}
	at := made.Size
	if align := max(old.Align, 1); at%align != from%align {
		at += (from%align + align - at%align) % align
	}
	if at+n > largest {
		x.tooLarge = true
		return made, 0
	}
	if made.Type != elf.SHT_NOBITS {
		fill := byte(0)
		if made.Flags&elf.SHF_EXECINSTR != 0 {
			fill = 0x90 // nop
		}
		for uint64(len(made.Data)) < at {
			made.Data = append(made.Data, fill)
		}
		made.Data = append(made.Data, old.Data[from:from+n]...)
	}
	made.Size = at + n
	return made, at
}

func (x *extraction) placeAtoms(section *object.Section) {
	for _, a := range x.post.in[section] {
		if x.included[a] {
			_, at := x.room(section, a.lead, a.end-a.lead)
			x.at[a] = int64(at + (a.start - a.lead))
			if len(a.symbols) > 0 && x.from[a] == nil && a.handling == kept {
				name, _ := stem(a.name())
				x.selection.New = append(x.selection.New, name)
			}
		}
	}
}

func (x *extraction) placeRows(section *object.Section) {
	for _, e := range x.post.rows[section] {
		if owner := e.owner(); e.made || owner == nil || !x.included[owner] {
			continue
		}
		_, at := x.room(section, e.start, e.end-e.start)
		x.rowAt[e] = int64(at)
	}
}

// linked is the section that one of post's follows. The assembler puts the
// entries of several functions behind the first of them, which may stay
// behind; the first that comes along stands in for it.
func (x *extraction) linked(old *object.Section) *object.Section {
	if old.Linked == nil || x.sections[old.Linked] != nil {
		return x.sections[old.Linked]
	}
	for _, e := range x.post.rows[old] {
		if _, ok := x.rowAt[e]; ok {
			return x.sections[e.refs[0].target.section]
		}
	}
	return nil
}

// copySymbols takes over the symbols of what was taken.
func (x *extraction) copySymbols() {
	for _, s := range x.post.object.Symbols {
		a := x.post.of[s]
		if a == nil || !x.included[a] {
			continue
		}
		made := *s
		made.Section = x.sections[s.Section]
		made.Value = uint64(x.at[a] + int64(s.Value) - int64(a.start))
		made.Size = min(s.Size, a.end-s.Value) // no name reaches beyond what was taken
		x.copies[s] = &made
		x.out.Symbols = append(x.out.Symbols, &made)
	}
}

func (x *extraction) sectionSymbol(made *object.Section) *object.Symbol {
	s := x.symbolOf[made]
	if s == nil {
		s = &object.Symbol{Name: made.Name, Type: elf.STT_SECTION, Bind: elf.STB_LOCAL, Section: made}
		x.symbolOf[made] = s
		x.out.Symbols = append(x.out.Symbols, s)
	}
	return s
}

// relocate writes the references of an atom or an entry that begins at in
// made.
func (x *extraction) relocate(owner *atom, refs []ref, made *object.Section, at int64) error {
	for i := range refs {
		r := &refs[i]
		reloc := object.Reloc{Offset: uint64(at + r.at), Type: r.typ}
		switch {
		case r.nothing != nil:
			empty, _ := x.room(r.nothing, 0, 0)
			reloc.Symbol = x.sectionSymbol(empty)
		case r.section == nil:
			reloc.Symbol, reloc.Addend = x.global(r.symbol), r.addend
		case r.entry != nil:
			to, ok := x.rowAt[r.entry]
			if !ok {
				return x.stray(owner, r)
			}
			reloc.Symbol = x.sectionSymbol(x.sections[r.section])
			reloc.Addend = to + r.place - int64(r.entry.start) - r.bias
		case x.post.kinds[r.section] == merged:
			place, ok := x.constant(r)
			if !ok {
				return x.stray(owner, r)
			}
			reloc.Symbol = x.sectionSymbol(x.sections[r.section])
			reloc.Addend = place - r.bias
		case r.target == nil:
			return x.stray(owner, r)
		case x.included[r.target] && x.brought(owner, r):
			if c := x.copies[r.symbol]; c != nil {
				reloc.Symbol, reloc.Addend = c, r.addend
			} else {
				reloc.Symbol = x.sectionSymbol(x.sections[r.section])
				reloc.Addend = x.at[r.target] + r.place - int64(r.target.start) - r.bias
			}
		default:
			reloc.Symbol = x.old(r.target)
			reloc.Addend = r.place - int64(r.target.start) - r.bias
			if reloc.Symbol == nil {
				return x.stray(owner, r)
			}
		}
		x.key(owner, r, made, reloc)
		made.Relocs = append(made.Relocs, reloc)
	}
	return nil
}

// stray refuses a reference to something that no patch can have.
func (x *extraction) stray(owner *atom, r *ref) error {
	return x.refusal(refusal.Refusal{
		Code: refusal.Special, Function: parent(owner.name()),
		Text: fmt.Sprintf("refers to section %s, which a live patch cannot carry", r.section.Name), Advice: "patch a caller of it instead",
	})
}

func (x *extraction) global(s *object.Symbol) *object.Symbol {
	made := x.undefined[s.Name]
	if made == nil {
		c := *s
		made = &c
		x.undefined[s.Name] = made
		x.out.Symbols = append(x.out.Symbols, made)
	}
	return made
}

// old is the undefined symbol for the running kernel's version of a thing.
func (x *extraction) old(b *atom) *object.Symbol {
	a := x.from[b]
	if a == nil {
		return nil
	}
	made := x.olds[a]
	if made == nil {
		pre := a.symbols[0]
		made = &object.Symbol{Name: pre.Name, Bind: elf.STB_GLOBAL, Index: elf.SHN_UNDEF}
		x.olds[a] = made
		x.selection.Olds[made] = pre
		x.out.Symbols = append(x.out.Symbols, made)
	}
	return made
}

// constant takes over the constant that a reference is about and gives the
// place that it means now.
func (x *extraction) constant(r *ref) (int64, bool) {
	if r.place < 0 || uint64(r.place) >= uint64(len(r.section.Data)) || r.section.Entsize > uint64(len(r.section.Data)) {
		return 0, false
	}
	unit, size := int64(max(r.section.Entsize, 1)), int64(len(r.section.Data))
	start := r.place - r.place%unit
	end := start + unit
	if r.section.Flags&elf.SHF_STRINGS != 0 {
		ends := func(at int64) bool { // a string with the unit there
			return len(bytes.Trim(r.section.Data[at:min(at+unit, size)], "\x00")) == 0
		}
		for start > 0 && !ends(start-unit) {
			start -= unit
		}
		for end = start; end < size && !ends(end); end += unit {
		}
		end += unit
	}
	end = min(end, size)
	places := x.constants[r.section]
	if places == nil {
		places = map[int64]int64{}
		x.constants[r.section] = places
	}
	to, ok := places[start]
	if !ok {
		_, at := x.room(r.section, uint64(start), uint64(end-start))
		to = int64(at)
		places[start] = to
	}
	return to + r.place - start, true
}

// key notes what patches the selected code.
func (x *extraction) key(owner *atom, r *ref, made *object.Section, reloc object.Reloc) {
	k := Key{Function: parent(owner.name()), Symbol: reloc.Symbol}
	if r.target != nil && x.included[r.target] && r.target.name() != "" {
		k.Symbol = x.copies[r.target.symbols[0]]
	}
	switch {
	case made.Name == "__jump_table" && (r.typ == elf.R_X86_64_PC64 || r.typ == elf.R_X86_64_64):
		k.Kind = StaticBranch
	case strings.HasPrefix(reloc.Symbol.Name, "__SCT__"):
		k.Kind = StaticCall
	default:
		return
	}
	if !slices.Contains(x.selection.Keys, k) {
		x.selection.Keys = append(x.selection.Keys, k)
	}
}
