// SPDX-License-Identifier: Apache-2.0

// Package compare tells what a change of the source did to an object: which
// functions are other ones now, which data, and which part of the new object
// a live patch has to carry. Two objects of one translation unit, compiled
// before and after with -ffunction-sections -fdata-sections and not yet seen
// by objtool, are all it looks at.
//
// What lives here: what compilers and the kernel's macros do to names,
// sections and tables; the comparison; the choice of what is patched; the
// refusals that can be told from objects and their debug information. What
// must not: compiling, diffs, the running kernel and its image.
package compare

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// Status is what became of a thing.
type Status string

const (
	Same    Status = "same" // only of a Member
	Changed Status = "changed"
	New     Status = "new"
	Removed Status = "removed"
)

// Function is a function of the source that is not the same in both objects.
type Function struct {
	Name    string   // as in the source
	Status  Status   // of the whole
	Members []Member // every symbol that the compiler made of it, also those that did not change
}

// Member is one symbol of a function: itself, or its .cold, .constprop.N,
// .isra.N or .part.N.
type Member struct {
	Name      string // in the post object, in the pre object if Removed
	Status    Status
	Pre, Post *object.Symbol // nil where an object has none
	Why       string         // of Changed: the first thing that differs, for people
}

// Datum is an object of data that is not the same in both objects.
type Datum struct {
	Name      string // without the compiler's numbers
	Status    Status
	Pre, Post *object.Symbol // nil where an object has none
	Section   string         // of the later one
	Why       string         // of Changed: what differs, for people
}

// Difference is what differs between two objects of one translation unit.
type Difference struct {
	File      string     // of the source as the object names it, without folders
	Functions []Function // by name
	Data      []Datum    // by name; without constants that the compiler made
	Exports   []string   // symbols whose EXPORT_SYMBOL came, went or changed, with + or - or ~ before the name
	Tables    []string   // sections of entries without names (initcalls, tracepoints, …) that are not the same
	LineOnly  []string   // functions that differ by line numbers alone, which counts as the same

	*comparison
}

// Empty says that nothing of what is built differs.
func (d *Difference) Empty() bool {
	return len(d.Functions) == 0 && len(d.Data) == 0 && len(d.Exports) == 0 && len(d.Tables) == 0
}

// Compare compares the objects of a translation unit before and after a
// change. It sees through line numbers in the kernel's tables and in calls
// that take nothing else, through the order of sections and through numbers
// in names.
func Compare(pre, post *object.Object) (*Difference, error) { return CompareMoved(pre, post, nil) }

// CompareMoved is Compare for one who knows how the lines of the source
// moved: other arguments that moved so are line numbers as well.
func CompareMoved(pre, post *object.Object, moved Moved) (*Difference, error) {
	for _, o := range []*object.Object{pre, post} {
		if o == nil {
			return nil, errors.New("compare: an object is missing")
		}
	}
	p := pair(take(pre), take(post))
	c := &comparison{pairing: p, moved: moved, known: map[[2]*atom]outcome{}, busy: map[[2]*atom]bool{}}
	d := &Difference{File: p.post.file, comparison: c}
	d.functions()
	d.data()
	d.tables()
	return d, nil
}

// functions compares the code that has names.
func (d *Difference) functions() {
	all := map[string]*Function{}
	var names []string
	add := func(m Member) {
		name := parent(m.Name)
		f := all[name]
		if f == nil {
			f = &Function{Name: name}
			all[name] = f
			names = append(names, name)
		}
		f.Members = append(f.Members, m)
	}
	lines := map[string]bool{}
	for _, b := range d.post.atoms {
		if !b.code || len(b.symbols) == 0 {
			continue
		}
		m := Member{Name: b.name(), Post: b.symbols[0], Status: New}
		if a := d.from[b]; a != nil {
			m.Pre, m.Status = a.symbols[0], Same
			if o := d.same(a, b); o.why != "" {
				m.Status, m.Why = Changed, o.why
			} else if x, y := attribute(a.section.Name, a.name()), attribute(b.section.Name, b.name()); x != y {
				m.Status, m.Why = Changed, "in section "+y+" instead of "+x
			} else if o.lines {
				lines[parent(m.Name)] = true
			}
		}
		add(m)
	}
	for _, a := range d.pre.atoms {
		if a.code && len(a.symbols) > 0 && d.to[a] == nil {
			add(Member{Name: a.name(), Pre: a.symbols[0], Status: Removed})
		}
	}
	slices.Sort(names)
	for _, n := range names {
		f := all[n]
		slices.SortFunc(f.Members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
		if f.Status = f.status(); f.Status != Same {
			d.Functions = append(d.Functions, *f)
		} else if lines[n] {
			d.LineOnly = append(d.LineOnly, n)
		}
	}
}

// status of a function from those of its symbols.
func (f *Function) status() Status {
	count := map[Status]int{}
	for _, m := range f.Members {
		count[m.Status]++
	}
	for _, s := range []Status{Same, New, Removed} {
		if count[s] == len(f.Members) {
			return s
		}
	}
	return Changed
}

// data compares the data that has names.
func (d *Difference) data() {
	exports := map[string]string{}
	add := func(s Status, a, b *atom, why string) {
		x := b
		if x == nil {
			x = a
		}
		name, _ := stem(x.name())
		if symbol, ok := export(x); ok {
			exports[symbol] = map[Status]string{New: "+", Removed: "-", Changed: "~"}[s]
			return
		}
		if x.handling != kept || d.kindless(x) {
			return
		}
		datum := Datum{Name: name, Status: s, Section: x.section.Name, Why: why}
		if a != nil {
			datum.Pre = a.symbols[0]
		}
		if b != nil {
			datum.Post = b.symbols[0]
		}
		d.Data = append(d.Data, datum)
	}
	for _, b := range d.post.atoms {
		if b.code || len(b.symbols) == 0 {
			continue
		}
		a := d.from[b]
		if a == nil {
			add(New, nil, b, "")
			continue
		}
		if o := d.same(a, b); o.why != "" {
			add(Changed, a, b, o.why)
		} else if x, y := attribute(a.section.Name, a.name()), attribute(b.section.Name, b.name()); x != y {
			add(Changed, a, b, "in section "+y+" instead of "+x)
		} else if a.section.Flags != b.section.Flags && x != ".data" {
			add(Changed, a, b, "its section has other flags")
		}
	}
	for _, a := range d.pre.atoms {
		if !a.code && len(a.symbols) > 0 && d.to[a] == nil {
			add(Removed, a, nil, "")
		}
	}
	slices.SortStableFunc(d.Data, func(a, b Datum) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Status, b.Status)) })
	for symbol, sign := range exports {
		d.Exports = append(d.Exports, sign+symbol)
	}
	slices.Sort(d.Exports)
}

// kindless says of data that it belongs to no code and no reader of the
// running kernel.
func (d *Difference) kindless(a *atom) bool { return a.section.Name == ".discard.addressable" }

// export says that data is EXPORT_SYMBOL's, and of which symbol. Up to 6.4
// that is an entry of ___ksymtab, from 6.5 one of .export_symbol from which
// modpost makes the entry.
func export(a *atom) (string, bool) {
	if s, ok := strings.CutPrefix(a.name(), "__export_symbol_"); ok && strings.HasPrefix(a.section.Name, ".export_symbol") {
		return s, true
	}
	if strings.HasPrefix(a.section.Name, "___ksymtab") || strings.HasPrefix(a.section.Name, "___kcrctab") || a.section.Name == "__ksymtab_strings" {
		for _, p := range []string{"__ksymtab_", "__kstrtabns_", "__kstrtab_", "__crc_"} {
			if s, ok := strings.CutPrefix(a.name(), p); ok {
				return s, true
			}
		}
		return a.name(), true
	}
	return "", false
}

// tables compares what has no name and that nothing refers to: lists that the
// kernel reads from end to end.
func (d *Difference) tables() {
	pre, post := loose(d.pre), loose(d.post)
	var names []string
	for n := range pre {
		names = append(names, n)
	}
	for n := range post {
		if pre[n] == nil {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		if !slices.EqualFunc(pre[n], post[n], func(a, b *atom) bool { return d.same(a, b).why == "" }) {
			d.Tables = append(d.Tables, n)
		}
	}
}

func loose(u *unit) map[string][]*atom {
	used := map[*atom]bool{}
	mark := func(refs []ref) {
		for _, r := range refs {
			used[r.target] = true
		}
	}
	for _, a := range u.atoms {
		mark(a.refs)
	}
	for _, rows := range u.rows {
		for _, e := range rows {
			mark(e.refs)
		}
	}
	all := map[string][]*atom{}
	for _, a := range u.atoms {
		if len(a.symbols) == 0 && !used[a] && !a.code && !sanitizer(a.section.Name) {
			all[a.section.Name] = append(all[a.section.Name], a)
		}
	}
	return all
}

// Exported gives the symbols that the pre object exports, sorted.
func (d *Difference) Exported() []string {
	var all []string
	for _, a := range d.pre.atoms {
		if s, ok := export(a); ok && (strings.HasPrefix(a.name(), "__ksymtab_") || strings.HasPrefix(a.name(), "__export_symbol_")) {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
