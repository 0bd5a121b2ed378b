// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Types is what the image's BTF tells beside the C header of the types.
type Types struct {
	// Prototypes are C declarations of the exported functions.
	Prototypes map[string]string
	// Functions are the names of all functions that BTF knows, exported or
	// not, to tell a patch's author apart what is not there and what is not
	// for modules.
	Functions map[string]bool
	// Twice are names of several types; see declarations.
	Twice map[string]bool
	// Answers are to the questions of our headers (questions.go).
	Answers map[string]bool
	// Module is struct module's shape.
	Module ModuleLayout
	// BugEntry are the members of struct bug_entry in order of offset.
	BugEntry []string
}

// ModuleLayout is what a loader looks at in .gnu.linkonce.this_module, in
// bytes.
type ModuleLayout struct {
	Size, Name, NameSize, Init, Exit uint64
	HasExit                          bool // CONFIG_MODULE_UNLOAD
}

// readTypes reads all of spec.
func readTypes(spec *btf.Spec, exports map[string]Export, questions []string) (*Types, error) {
	t := &Types{Prototypes: map[string]string{}, Functions: map[string]bool{}, Twice: map[string]bool{}}
	facts := facts{spec: spec, exports: exports, enums: map[string]bool{}}
	functions := map[string][]*btf.Func{}
	// C has a name space for tags and one for all the rest.
	tags, idents := map[string]int{}, map[string]int{}
	for typ, err := range spec.All() {
		if err != nil {
			return nil, fmt.Errorf("read the image's types: %w", err)
		}
		switch typ := typ.(type) {
		case *btf.Func:
			t.Functions[typ.Name] = true
			if _, exported := exports[typ.Name]; exported {
				functions[typ.Name] = append(functions[typ.Name], typ)
			}
		case *btf.Struct, *btf.Union:
			tags[typ.TypeName()]++
		case *btf.Typedef:
			idents[typ.Name]++
		case *btf.Enum:
			tags[typ.Name]++
			for _, v := range typ.Values {
				facts.enums[v.Name] = true
			}
		}
	}
	for _, names := range []map[string]int{tags, idents} {
		for name, n := range names {
			if name != "" && n > 1 {
				t.Twice[name] = true
			}
		}
	}
	d := declarations{t.Twice}
	for name, found := range functions {
		if text, ok := agreed(d, found); ok {
			t.Prototypes[name] = text
		}
	}
	var err error
	if t.Answers, err = facts.answers(questions); err != nil {
		return nil, err
	}
	if t.Module, err = moduleLayout(spec); err != nil {
		return nil, err
	}
	t.BugEntry = bugEntry(spec)
	return t, nil
}

// agreed is the prototype of a function that BTF may know several of, one
// static in each of several files.
func agreed(d declarations, found []*btf.Func) (string, bool) {
	first, err := d.prototype(found[0])
	if err != nil {
		return "", false
	}
	for _, other := range found[1:] {
		if text, err := d.prototype(other); err != nil || text != first {
			return "", false
		}
	}
	return first, true
}

func structByName(spec *btf.Spec, name string) (*btf.Struct, error) {
	var s *btf.Struct
	if err := spec.TypeByName(name, &s); err != nil {
		return nil, fmt.Errorf("struct %s of the image: %w", name, err)
	}
	return s, nil
}

func moduleLayout(spec *btf.Spec) (l ModuleLayout, err error) {
	s, err := structByName(spec, "module")
	if err != nil {
		return l, err
	}
	l.Size = uint64(s.Size)
	for _, m := range s.Members {
		at := uint64(m.Offset.Bytes())
		switch m.Name {
		case "name":
			l.Name = at
			if a, ok := btf.UnderlyingType(m.Type).(*btf.Array); ok {
				l.NameSize = uint64(a.Nelems)
			}
		case "init":
			l.Init = at
		case "exit":
			l.Exit, l.HasExit = at, true
		}
	}
	if l.NameSize == 0 || l.Init == 0 || l.Size < max(l.Init, l.Exit)+8 || l.Name+l.NameSize > l.Size {
		return l, fmt.Errorf("struct module of the image has no name or no init")
	}
	return l, nil
}

// bugEntry gives the members of struct bug_entry, each a directive for the
// assembler by its size. A kernel without CONFIG_BUG has none.
func bugEntry(spec *btf.Spec) (names []string) {
	s, err := structByName(spec, "bug_entry")
	if err != nil {
		return nil
	}
	members := slices.Clone(s.Members)
	slices.SortFunc(members, func(a, b btf.Member) int { return int(a.Offset) - int(b.Offset) })
	for _, m := range members {
		names = append(names, m.Name)
	}
	return names
}

// facts answers questions.
type facts struct {
	spec    *btf.Spec
	exports map[string]Export
	enums   map[string]bool
}

// answers answers the questions that our headers ask by the names of macros:
// HAVE_EXPORT_symbol, HAVE_ENUM_constant, HAVE_FIELD_member_OF_struct. What a
// kernel has is asked of it and not taken from its version.
func (f facts) answers(questions []string) (map[string]bool, error) {
	all := map[string]bool{}
	for _, q := range questions {
		kind, what, _ := strings.Cut(strings.TrimPrefix(q, "HAVE_"), "_")
		switch kind {
		case "EXPORT":
			_, all[q] = f.exports[what]
		case "ENUM":
			all[q] = f.enums[what]
		case "FIELD":
			member, of, _ := strings.Cut(what, "_OF_")
			s, err := structByName(f.spec, of)
			all[q] = err == nil && slices.ContainsFunc(s.Members, func(m btf.Member) bool { return m.Name == member })
		default:
			return nil, fmt.Errorf("our headers ask %s, which nobody can answer", q)
		}
	}
	return all, nil
}
