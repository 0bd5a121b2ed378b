// SPDX-License-Identifier: Apache-2.0

package object

import "debug/elf"

// Clone copies the object, so that the copy can be changed; contents of
// sections are shared, to be replaced and not written to. The map gives each
// symbol's copy.
func (o *Object) Clone() (*Object, map[*Symbol]*Symbol) {
	made := &Object{Name: o.Name}
	sections := map[*Section]*Section{}
	for _, s := range o.Sections {
		c := *s
		sections[s] = &c
		made.Sections = append(made.Sections, &c)
	}
	symbols := map[*Symbol]*Symbol{}
	for _, s := range o.Symbols {
		c := *s
		if s.Section != nil {
			c.Section = sections[s.Section]
		}
		symbols[s] = &c
		made.Symbols = append(made.Symbols, &c)
	}
	relocs := func(all []Reloc) []Reloc {
		copied := make([]Reloc, len(all))
		for i, r := range all {
			r.Symbol = symbols[r.Symbol]
			copied[i] = r
		}
		return copied
	}
	for _, s := range made.Sections {
		s.Relocs = relocs(s.Relocs)
		if s.Linked != nil {
			s.Linked = sections[s.Linked]
		}
	}
	for _, t := range o.Tables {
		c := *t
		c.Target, c.Relocs = sections[t.Target], relocs(t.Relocs)
		made.Tables = append(made.Tables, &c)
	}
	return made, symbols
}

// Function gives the function that offset in s belongs to, nil without one.
func (o *Object) Function(s *Section, offset uint64) *Symbol {
	var found *Symbol
	for _, f := range o.Symbols {
		if f.Section == s && f.Type == elf.STT_FUNC && f.Value <= offset && (offset < f.Value+f.Size || offset == f.Value) {
			if found == nil || f.Value > found.Value {
				found = f
			}
		}
	}
	return found
}
