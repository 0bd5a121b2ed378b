// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"cmp"
	"debug/elf"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// atom is the smallest thing that is taken or left as a whole: a function, an
// object of data, or a run of bytes without a name between two places that
// something refers to.
type atom struct {
	section *object.Section
	lead    uint64 // where the bytes before a function's entry begin that belong to it, else start
	start   uint64 // in section
	end     uint64
	symbols []*object.Symbol // all names of it; the first is the one to use; none: anonymous
	code    bool
	handling
	refs    []ref
	entries []*entry // of tables, by table and place
}

// entry is one entry of a table about a place in code.
type entry struct {
	*table
	section    *object.Section
	start, end uint64 // in section
	at         int64  // place in the owner, from its start
	refs       []ref  // as the owner's; at counts from the entry's start
}

// owner is what the entry is about, by its first reference; nil: nothing here.
func (e *entry) owner() *atom {
	if len(e.refs) == 0 {
		return nil
	}
	return e.refs[0].target
}

// ref is a relocation with what it is about.
type ref struct {
	at      int64 // of the relocated bytes, from the start of the atom
	typ     elf.R_X86_64
	symbol  *object.Symbol
	addend  int64
	bias    int64           // bytes from the relocated place to where the processor counts from
	section *object.Section // nil: undefined
	place   int64           // in section
	target  *atom           // nil: undefined, or merged, or an entry
	entry   *entry          // in a table
	call    bool            // a call or jump: the address is not kept
	nothing *object.Section // it is about no byte of that section
}

func (a *atom) name() string {
	if len(a.symbols) == 0 {
		return ""
	}
	return a.symbols[0].Name
}

func (a *atom) local() bool { return len(a.symbols) > 0 && a.symbols[0].Bind == elf.STB_LOCAL }

func (a *atom) bytes() []byte {
	if a.section.Type == elf.SHT_NOBITS {
		return nil
	}
	return a.section.Data[a.start:a.end]
}

func (a *atom) size() uint64 { return a.end - a.start }

// site says that the function begins with a place that tracing can hook: by
// its entry in the table, or by the call itself where something other than the
// compiler makes the table.
func (a *atom) site() bool {
	for _, e := range a.entries {
		if e.table.name == "__mcount_loc" {
			return true
		}
	}
	return len(a.refs) > 0 && a.refs[0].at <= 8 && a.refs[0].section == nil && a.refs[0].symbol.Name == "__fentry__"
}

// unit is an object taken apart.
type unit struct {
	object *object.Object
	file   string // as the compiler was told, without folders
	atoms  []*atom
	in     map[*object.Section][]*atom // by start
	of     map[*object.Symbol]*atom
	kinds  map[*object.Section]kind
	biases map[*object.Section]map[uint64]int64
	rows   map[*object.Section][]*entry // of tables, by start
	code   map[string]*atom             // functions by each of their names
}

func take(o *object.Object) *unit {
	u := &unit{
		object: o, in: map[*object.Section][]*atom{}, of: map[*object.Symbol]*atom{}, kinds: map[*object.Section]kind{},
		biases: map[*object.Section]map[uint64]int64{}, rows: map[*object.Section][]*entry{}, code: map[string]*atom{},
	}
	for _, s := range o.Sections {
		u.kinds[s] = kindOf(s)
	}
	u.nameAtoms()
	u.countBiases()
	u.anonymousAtoms()
	for _, s := range o.Sections {
		for _, a := range u.in[s] {
			a.refs = u.refs(s, a.lead, a.end, int64(a.start))
			u.atoms = append(u.atoms, a)
			for _, y := range a.symbols {
				if a.code && u.code[y.Name] == nil {
					u.code[y.Name] = a
				}
			}
		}
	}
	u.readTables()
	return u
}

// nameAtoms makes the atoms of the symbols.
func (u *unit) nameAtoms() {
	bySection := map[*object.Section][]*object.Symbol{}
	for _, s := range u.object.Symbols {
		if s.Type == elf.STT_FILE {
			u.file = s.Name
		}
		if s.Section == nil || u.kinds[s.Section] != plain || s.Type == elf.STT_SECTION || strings.HasPrefix(s.Name, ".L") {
			continue
		}
		bySection[s.Section] = append(bySection[s.Section], s)
	}
	for section, symbols := range bySection {
		// The larger first: what lies in it are names for its parts.
		slices.SortStableFunc(symbols, func(a, b *object.Symbol) int {
			return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(b.Size, a.Size), cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
		})
		var made []*atom
		for i, s := range symbols {
			end := s.Value + s.Size
			if s.Size == 0 { // a label of assembly: up to the next
				end = section.Size
				for _, next := range symbols[i+1:] {
					if next.Value > s.Value {
						end = next.Value
						break
					}
				}
			}
			end = min(end, section.Size)
			if n := len(made); n > 0 {
				last := made[n-1]
				if s.Value == last.start && (end == last.end || s.Size == 0) || s.Value > last.start && s.Value < last.end {
					if s.Value == last.start {
						last.symbols = append(last.symbols, s)
					}
					u.of[s] = last
					continue
				}
				if s.Value < last.end { // begins there too but is shorter
					u.of[s] = last
					continue
				}
			}
			a := &atom{section: section, lead: s.Value, start: s.Value, end: end, symbols: []*object.Symbol{s}, code: section.Flags&elf.SHF_EXECINSTR != 0}
			if !a.code {
				a.handling = handled(s.Name, section.Name)
			}
			made = append(made, a)
			u.of[s] = a
		}
		for _, a := range made {
			// The name that says something is the one to use.
			slices.SortStableFunc(a.symbols, func(x, y *object.Symbol) int {
				_, n := stem(x.Name)
				_, m := stem(y.Name)
				switch {
				case n == m:
					return cmp.Compare(rank(x), rank(y))
				case n:
					return 1
				}
				return -1
			})
		}
		u.in[section] = made
	}
}

// rank orders the names of one thing: the kernel's symbol table and the other
// objects know the global one.
func rank(s *object.Symbol) int {
	switch {
	case s.Type != elf.STT_FUNC && s.Type != elf.STT_OBJECT:
		return 3
	case s.Bind == elf.STB_GLOBAL:
		return 0
	case s.Bind == elf.STB_WEAK:
		return 1
	}
	return 2
}

// countBiases finds for each relocated place in code where its instruction
// ends: relative addresses count from there.
func (u *unit) countBiases() {
	for _, s := range u.object.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || u.kinds[s] == unseen || s.Type == elf.SHT_NOBITS {
			continue
		}
		biases := map[uint64]int64{}
		u.biases[s] = biases
		starts := []uint64{0}
		for _, a := range u.in[s] {
			starts = append(starts, a.start, a.end)
		}
		starts = append(starts, s.Size)
		relocs := s.Relocs
		for i, start := range starts[:len(starts)-1] {
			end := starts[i+1]
			if end <= start {
				continue
			}
			instructions(s.Data[start:end], func(at, n int) bool {
				from, to := start+uint64(at), start+uint64(at+n)
				for len(relocs) > 0 && relocs[0].Offset < from {
					relocs = relocs[1:]
				}
				for _, r := range relocs {
					if r.Offset >= to {
						break
					}
					biases[r.Offset] = int64(to - r.Offset)
				}
				return true
			})
		}
	}
}

// relative says that a relocation's value counts from the place itself.
func relative(t elf.R_X86_64) bool {
	switch t {
	case elf.R_X86_64_PC32, elf.R_X86_64_PLT32, elf.R_X86_64_PC64, elf.R_X86_64_PC16, elf.R_X86_64_PC8,
		elf.R_X86_64_GOTPCREL, elf.R_X86_64_GOTPCRELX, elf.R_X86_64_REX_GOTPCRELX:
		return true
	}
	return false
}

// bias is what an instruction's own length adds to a relative address.
func (u *unit) bias(s *object.Section, r object.Reloc) int64 {
	if s.Flags&elf.SHF_EXECINSTR == 0 || !relative(r.Type) {
		return 0
	}
	if b, ok := u.biases[s][r.Offset]; ok {
		return b
	}
	return 4
}

// anonymousAtoms makes atoms of what lies between the names, cut where
// something refers to.
func (u *unit) anonymousAtoms() {
	places := map[*object.Section][]uint64{}
	for _, s := range u.object.Sections {
		if u.kinds[s] == unseen {
			continue
		}
		for _, r := range s.Relocs {
			t := r.Symbol.Section
			if t == nil || u.kinds[t] != plain || t.Name == replacements && s.Name != ".altinstructions" {
				continue // a replacement is one thing, whatever points into it
			}
			if at := int64(r.Symbol.Value) + r.Addend + u.bias(s, r); at >= 0 && uint64(at) < t.Size {
				places[t] = append(places[t], uint64(at))
			}
		}
	}
	for _, s := range u.object.Sections {
		if u.kinds[s] != plain || s.Size == 0 {
			continue
		}
		cuts := places[s]
		slices.Sort(cuts)
		cuts = slices.Compact(cuts)
		code := s.Flags&elf.SHF_EXECINSTR != 0
		var all []*atom
		gap := func(from, to uint64, next *atom) {
			if from >= to {
				return
			}
			inside := cuts[upTo(cuts, from):upTo(cuts, to)]
			if next != nil && code {
				// Room before the entry, and alignment.
				next.lead = from
				return
			}
			if len(u.in[s]) > 0 && (len(inside) == 0 || from > 0 && to-from < s.Align && padding(s, from, to)) {
				return // alignment; who refers to it means the end of what lies before, as of an array
			}
			edges := slices.Compact(append(append([]uint64{from}, inside...), to))
			for i, at := range edges[:len(edges)-1] {
				all = append(all, &atom{section: s, lead: at, start: at, end: edges[i+1], code: code, handling: copied})
			}
		}
		at := uint64(0)
		for _, a := range u.in[s] {
			gap(at, a.start, a)
			all = append(all, a)
			at = a.end
		}
		gap(at, s.Size, nil)
		u.in[s] = all
	}
}

func padding(s *object.Section, from, to uint64) bool {
	return s.Type == elf.SHT_NOBITS || len(bytes.Trim(s.Data[from:to], "\x00")) == 0
}

// upTo is the number of places below at.
func upTo(places []uint64, at uint64) int {
	n, _ := slices.BinarySearch(places, at)
	return n
}

// find gives the atom at a place of a section, or the one that ends there.
func (u *unit) find(s *object.Section, place int64) *atom {
	all := u.in[s]
	n, exact := slices.BinarySearchFunc(all, place, func(a *atom, at int64) int { return cmp.Compare(int64(a.lead), at) })
	if !exact {
		n--
	}
	if n < 0 {
		if len(all) > 0 {
			return all[0]
		}
		return nil
	}
	return all[n]
}

// refs resolves the relocations of [from, to); places count from zero.
func (u *unit) refs(s *object.Section, from, to uint64, zero int64) []ref {
	n, _ := slices.BinarySearchFunc(s.Relocs, from, func(r object.Reloc, at uint64) int { return cmp.Compare(r.Offset, at) })
	var all []ref
	for _, r := range s.Relocs[n:] {
		if r.Offset >= to {
			break
		}
		made := ref{at: int64(r.Offset) - zero, typ: r.Type, symbol: r.Symbol, addend: r.Addend, bias: u.bias(s, r), section: r.Symbol.Section}
		made.call = s.Flags&elf.SHF_EXECINSTR != 0 && relative(r.Type) && isCall(s.Data, int(r.Offset))
		if made.section != nil {
			made.place = int64(r.Symbol.Value) + r.Addend + made.bias
			if u.kinds[made.section] == plain {
				if made.target = u.of[r.Symbol]; made.target == nil {
					made.target = u.find(made.section, made.place)
				}
			}
		}
		all = append(all, made)
	}
	return all
}
