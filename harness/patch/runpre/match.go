// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Report is what a comparison found.
type Report struct {
	Object    string           // VMLinux or a module
	Functions []FunctionReport // in the compiled object's order
	// Symbols says where the kernel has what the object defines or needs. Those
	// without a witness, and strings, are not in it.
	Symbols map[*object.Symbol]Place

	matcher *matcher // what else was learned, for Expect
}

// FunctionReport is the result for one function.
type FunctionReport struct {
	Name    string
	Symbol  *object.Symbol
	Address uint64 // in the image; 0 if it is not known
	OK      bool
	Offset  uint64 // of the first difference, in the function
	Why     string // what differs; "" if OK
	// Ambiguous says that several copies in the kernel are the same to the
	// byte and nothing tells which one is this file's.
	Ambiguous bool
}

// Function is the report of the function of that name, nil without.
func (r *Report) Function(name string) *FunctionReport {
	for i := range r.Functions {
		if r.Functions[i].Name == name {
			return &r.Functions[i]
		}
	}
	return nil
}

// Refusal is the reason not to patch f; nil if there is none. source is the
// file it is in, release the kernel.
func (f *FunctionReport) Refusal(source, release string) error {
	if f.OK {
		return nil
	}
	r := &refusal.Refusal{Code: refusal.Mismatch, File: source, Function: f.Name, Release: release}
	if f.Ambiguous {
		r.Code = refusal.Ambiguous
		r.Text = f.Why
		r.Advice = "patch its callers instead"
		return r
	}
	r.Text = fmt.Sprintf("what the source compiles to is not what the kernel has, at %s+%#x: %s", f.Name, f.Offset, f.Why)
	r.Advice = "is this the source the kernel was built from, and the same compiler?"
	return r
}

// matcher compares one object.
type matcher struct {
	image  *Image
	space  *space
	object *object.Object
	// named are the symbols with a name of each section.
	named map[*object.Section][]*object.Symbol
	// sections are the addresses of sections that are known by now, symbols
	// those of symbols that are defined elsewhere.
	sections map[*object.Section]uint64
	symbols  map[*object.Symbol]uint64
	// found are the functions whose place is known.
	found map[*object.Symbol]candidate
}

// candidate is an address at which a function's code stands.
type candidate struct {
	address uint64
	refs    []reference
	moved   map[int]span // where its instructions are, nil: as in the object
}

// Match compares every function of pre, as the compiler left it, with the code
// that the image has for object: VMLinux or the name of a module. A function
// that differs is told in the report; an error means that there is nothing to
// compare with.
func Match(pre *object.Object, im *Image, object string) (*Report, error) {
	s, err := im.space(object)
	if err != nil {
		return nil, err
	}
	m := newMatcher(pre, im, s)
	functions := m.functions()
	report := &Report{Object: object, matcher: m, Functions: make([]FunctionReport, len(functions))}
	open := map[int][]candidate{}
	for i, f := range functions {
		r := &report.Functions[i]
		r.Name, r.Symbol = f.symbol.Name, f.symbol
		open[i] = m.candidates(f, r)
	}
	m.settle(functions, open, report)
	report.Symbols = m.places()
	return report, nil
}

func newMatcher(pre *object.Object, im *Image, s *space) *matcher {
	m := &matcher{
		image: im, space: s, object: pre, named: map[*object.Section][]*object.Symbol{},
		sections: map[*object.Section]uint64{}, symbols: map[*object.Symbol]uint64{},
		found: map[*object.Symbol]candidate{},
	}
	for _, sym := range pre.Symbols {
		if sym.Section != nil && sym.Type != elf.STT_SECTION && sym.Name != "" && !strings.HasPrefix(sym.Name, ".L") {
			m.named[sym.Section] = append(m.named[sym.Section], sym)
		}
	}
	return m
}

// functions are those with code of their own.
func (m *matcher) functions() (all []*function) {
	sites := findSites(m.object)
	for _, s := range m.object.Symbols {
		if s.Type != elf.STT_FUNC || s.Section == nil || s.Size == 0 || s.Section.Flags&elf.SHF_EXECINSTR == 0 ||
			s.Value+s.Size > uint64(len(s.Section.Data)) {
			continue
		}
		f := &function{symbol: s, code: s.Section.Data[s.Value : s.Value+s.Size], sites: sites[s.Section]}
		for _, r := range s.Section.Relocs {
			if r.Offset >= s.Value && r.Offset < s.Value+s.Size {
				f.relocs = append(f.relocs, r)
			}
		}
		all = append(all, f)
	}
	return all
}

// candidates are the places of the function's name whose code is the same. If
// there is none, r says why.
func (m *matcher) candidates(f *function, r *FunctionReport) (all []candidate) {
	r.Why = "the kernel has no function of that name"
	for _, i := range m.space.byName[f.symbol.Name] {
		address := m.space.symbols[i].Address
		if slices.ContainsFunc(all, func(c candidate) bool { return c.address == address }) {
			continue
		}
		var moved map[int]span
		refs, different := m.compare(f, address)
		if different != nil {
			var again *mismatch
			if refs, moved, again = m.align(f, address); again == nil || again.offset > different.offset {
				different = again
			}
		}
		switch {
		case different == nil:
			all = append(all, candidate{address, refs, moved})
		case r.Address == 0 || different.offset > r.Offset:
			r.Address, r.Offset, r.Why = address, different.offset, different.why
		}
	}
	return all
}

// settle decides where each function is: first those of which there is but
// one, and by what they refer to the others.
func (m *matcher) settle(functions []*function, open map[int][]candidate, report *Report) {
	near := neighbourhood{}
	for {
		progress := false
		for i, f := range functions {
			left, ok := open[i]
			if !ok {
				continue
			}
			var first candidate
			if len(left) > 0 {
				first = left[0]
			}
			left = slices.DeleteFunc(left, func(c candidate) bool { return m.conflict(f, c) != nil })
			if len(left) == 0 && first.address != 0 {
				different := m.conflict(f, first)
				report.Functions[i].Address, report.Functions[i].Offset, report.Functions[i].Why = first.address, different.offset, different.why
			}
			open[i] = left
			switch len(left) {
			case 0:
				delete(open, i)
			case 1:
				m.bind(f, left[0])
				m.found[f.symbol] = left[0]
				near.add(f, left[0].address)
				report.Functions[i] = FunctionReport{Name: f.symbol.Name, Symbol: f.symbol, Address: left[0].address, OK: true}
				delete(open, i)
				progress = true
			}
		}
		if progress {
			continue
		}
		// What is left are functions that are the same to the byte and that
		// nothing settled refers to. A file's code stands together.
		for i, f := range functions {
			if left, ok := open[i]; ok && !progress {
				if c := near.only(f, left, m.object); c != nil {
					open[i], progress = []candidate{*c}, true
				}
			}
		}
		if !progress {
			break
		}
	}
	for i, f := range functions {
		if r := &report.Functions[i]; r.OK {
			if different := m.strays(m.found[f.symbol]); different != nil {
				r.OK, r.Offset, r.Why = false, different.offset, different.why
			}
		} else if f.symbol.Bind == elf.STB_WEAK && len(open[i]) == 0 {
			r.Why += " (this one is weak: has another file a function of the same name, which the kernel uses instead?)"
		}
	}
	for i, left := range open {
		report.Functions[i].Ambiguous = true
		report.Functions[i].Why = fmt.Sprintf("the kernel has %d functions of that name with the same code, and nothing tells which one is this file's", len(left))
	}
}

// strays says which reference of c into the middle of a function leads to
// another instruction than in the object; nil if none.
func (m *matcher) strays(c candidate) *mismatch {
	for _, ref := range c.refs {
		if ref.inner == nil {
			continue
		}
		f, ok := m.found[ref.inner]
		if !ok {
			return &mismatch{ref.offset, fmt.Sprintf("it leads into %s, which is not the same", ref.inner.Name)}
		}
		into := int(ref.into - f.address)
		s := span{int(ref.to), int(ref.to)}
		if f.moved != nil {
			if s, ok = f.moved[int(ref.to)]; !ok {
				s = span{-1, -1}
			}
		}
		if into < s.first || into > s.last {
			return &mismatch{ref.offset, fmt.Sprintf("it leads to %s+%#x, the source's to +%#x", ref.inner.Name, into, ref.to)}
		}
	}
	return nil
}

// conflict says what in c contradicts what is known by now; nil if nothing.
func (m *matcher) conflict(f *function, c candidate) *mismatch {
	if bound, ok := m.sections[f.symbol.Section]; ok && bound != c.address-f.symbol.Value {
		return &mismatch{0, fmt.Sprintf("other code of the file refers to it at %#x", bound+f.symbol.Value)}
	}
	for _, ref := range c.refs {
		s := ref.reloc.Symbol
		if ref.inner != nil {
			continue
		}
		bound, ok := m.symbols[s]
		if s.Section != nil && s.Bind != elf.STB_WEAK {
			bound, ok = m.sections[s.Section]
			bound += s.Value
		}
		if ok && bound != ref.address {
			return &mismatch{ref.offset, fmt.Sprintf("it refers to %s at %#x, other code of the file at %#x", s.Name, ref.address, bound)}
		}
	}
	return nil
}

// bind keeps what a function at its place tells.
func (m *matcher) bind(f *function, c candidate) {
	m.sections[f.symbol.Section] = c.address - f.symbol.Value
	for _, ref := range c.refs {
		s := ref.reloc.Symbol
		switch {
		case ref.inner != nil:
		case s.Section == nil, s.Bind == elf.STB_WEAK:
			m.symbols[s] = ref.address
		case s.Section.Flags&elf.SHF_MERGE == 0:
			m.sections[s.Section] = ref.address - s.Value
		}
	}
}

// neighbourhood is where a file's code stands, by the kind of its section
// (".text", ".text.unlikely", ".init.text").
type neighbourhood map[string][2]uint64

func (n neighbourhood) add(f *function, address uint64) {
	kind := sectionKind(f.symbol.Section.Name)
	r, ok := n[kind]
	if !ok {
		r = [2]uint64{address, address}
	}
	n[kind] = [2]uint64{min(r[0], address), max(r[1], address+f.symbol.Size)}
}

// only is the one candidate within the file's code, else the one within its
// reach; nil if there is none or more.
func (n neighbourhood) only(f *function, all []candidate, o *object.Object) *candidate {
	kind := sectionKind(f.symbol.Section.Name)
	r, ok := n[kind]
	if !ok {
		return nil
	}
	var reach uint64 // all code of the kind, with room for alignment
	for _, s := range o.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 && sectionKind(s.Name) == kind {
			reach += s.Size + 64
		}
	}
	within := func(most uint64) (only *candidate, found int) {
		for i := range all {
			if lo, hi := min(r[0], all[i].address), max(r[1], all[i].address+f.symbol.Size); hi-lo <= most {
				only = &all[i]
				found++
			}
		}
		return only, found
	}
	only, found := within(r[1] - r[0])
	if found == 0 {
		only, found = within(reach)
	}
	if found != 1 {
		return nil
	}
	return only
}

// sectionKind is what a section would be called without -ffunction-sections.
func sectionKind(name string) string {
	for _, kind := range []string{".text.unlikely", ".text.hot", ".text.startup", ".text.exit"} {
		if name == kind || strings.HasPrefix(name, kind+".") {
			return kind
		}
	}
	if strings.HasPrefix(name, ".text.") {
		return ".text"
	}
	return name
}
