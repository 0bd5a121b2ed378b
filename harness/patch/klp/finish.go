// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// finish turns the linked module into one that livepatch completes: it ties
// the tables to the new functions and hands the relocations by symbols that
// are not exported over to livepatch.
func (b *builder) finish(o *object.Object) error {
	if err := b.tie(o); err != nil {
		return err
	}
	if err := tieRuntime(o, b.module.runtimeConstants()); err != nil {
		return err
	}
	if err := b.links.missing(o); err != nil {
		return err
	}
	b.links.handOver(o)
	dropLateCalls(o)
	return b.judge(o)
}

// tie replaces the marks that stand for new functions.
func (b *builder) tie(o *object.Object) error {
	marked := map[string]*object.Symbol{} // the new function by its mark
	names := map[string]string{}
	for i, p := range b.module.Parts {
		for n, f := range p.Functions {
			names[newMark(i, n)] = f.New
		}
	}
	mark := func(s *object.Symbol) bool { return names[s.Name] != "" }
	for _, s := range o.Symbols {
		if !mark(s) || s.Section == nil {
			continue
		}
		for _, f := range o.Symbols {
			if f.Section == s.Section && f.Value == s.Value && f.Name == names[s.Name] {
				marked[s.Name] = f
			}
		}
	}
	for _, s := range o.Sections {
		for i, r := range s.Relocs {
			if !mark(r.Symbol) {
				continue
			}
			if s.Relocs[i].Symbol = marked[r.Symbol.Name]; s.Relocs[i].Symbol == nil {
				return fmt.Errorf("function %s is lost in the link", names[r.Symbol.Name])
			}
		}
	}
	o.Symbols = slices.DeleteFunc(o.Symbols, mark)
	return nil
}

// missing says which undefined symbols nobody provides.
func (l *links) missing(o *object.Object) error {
	used := map[*object.Symbol]string{}
	for _, s := range o.Sections {
		for _, r := range s.Relocs {
			if used[r.Symbol] == "" && r.Symbol.Undefined() {
				used[r.Symbol] = s.Name
				if f := o.Function(s, r.Offset); f != nil {
					used[r.Symbol] = f.Name + "()"
				}
			}
		}
	}
	var all *multierror.Error
	for _, s := range o.Symbols {
		_, looked := l.targets[s.Name]
		if !s.Undefined() || s.Bind == elf.STB_WEAK || looked {
			continue
		}
		user := used[s]
		if user == "" || s.Name == "_GLOBAL_OFFSET_TABLE_" {
			continue // the loader passes over it, as kbuild does
		}
		switch e, exported := l.exports[s.Name]; {
		case !exported:
			all = multierror.Append(all, fmt.Errorf("%s uses %s, which the kernel does not export and no symbol of it is known for", user, s.Name))
		case e.namespace != "":
			all = multierror.Append(all, fmt.Errorf("%s uses %s, which is exported for the namespace %s only", user, s.Name, e.namespace))
		}
	}
	return all.ErrorOrNil()
}

// handOver moves relocations by the targets' symbols to tables of their own,
// .klp.rela.OBJECT.SECTION, and gives the symbols the names and the mark that
// livepatch knows them by.
func (l *links) handOver(o *object.Object) {
	targets := map[*object.Symbol]target{}
	for _, s := range o.Symbols {
		if t, ok := l.targets[s.Name]; ok && s.Undefined() {
			targets[s] = t
			s.Name, s.Index, s.Bind = t.symbol(), object.Livepatch, elf.STB_GLOBAL
		}
	}
	for _, s := range o.Sections {
		tables := map[string]*object.Table{}
		var stay []object.Reloc
		for _, r := range s.Relocs {
			t, looked := targets[r.Symbol]
			if !looked {
				stay = append(stay, r)
				continue
			}
			table := tables[t.section]
			if table == nil {
				table = &object.Table{Name: tablePrefix + t.section + "." + s.Name, Flags: object.RelaLivepatch | elf.SHF_ALLOC, Target: s}
				tables[t.section] = table
				o.Tables = append(o.Tables, table)
			}
			table.Relocs = append(table.Relocs, r)
		}
		s.Relocs = stay
	}
	slices.SortStableFunc(o.Tables, func(a, b *object.Table) int { return cmp.Compare(a.Name, b.Name) })
	// What nothing refers to needs no look-up, which could fail.
	kept := map[*object.Symbol]bool{}
	for _, t := range o.Tables {
		for _, r := range t.Relocs {
			kept[r.Symbol] = true
		}
	}
	o.Symbols = slices.DeleteFunc(o.Symbols, func(s *object.Symbol) bool {
		_, looked := targets[s]
		return looked && !kept[s]
	})
}

const tablePrefix = ".klp.rela."

// appliedWith is the object with which a table is applied.
func appliedWith(t *object.Table) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(t.Name, tablePrefix), ".")
	return name
}
