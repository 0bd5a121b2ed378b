// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/switchyard-project/switchyard/kernels"
)

// Cut writes m without the functions of its klp_patch that are in out, which
// are then not patched, at path. Their new code stays in the module, where
// nobody calls it; nothing else changes. An object that has no function left
// stays in the tables, for its callbacks. That no function at all would be left
// is an error.
func (m *Module) Cut(kit *kernels.Kit, out []Function, path string) error {
	ko, err := os.ReadFile(m.Path)
	if err != nil {
		return err
	}
	l, err := klpLayout(kit)
	if err != nil {
		return err
	}
	cut, err := cutTables(ko, l, func(f Function) bool { return !named(out, f) })
	if err != nil {
		return fmt.Errorf("take functions out of %s: %w", m.Name, err)
	}
	return os.WriteFile(path, cut, 0o644)
}

// named says whether f is one of all, by its old function.
func named(all []Function, f Function) bool {
	return slices.ContainsFunc(all, func(o Function) bool { return o.Object == f.Object && o.Name == f.Name && o.Sympos == f.Sympos })
}

// cutTables gives ko with only those functions in its tables that keep wants.
func cutTables(ko []byte, l *layout, keep func(Function) bool) ([]byte, error) {
	t, err := readTables(ko, l)
	if err != nil {
		return nil, err
	}
	if t == nil || !slices.ContainsFunc(t.functions, keep) {
		return nil, errors.New("no function would be left")
	}
	o, err := readObject(ko)
	if err != nil {
		return nil, err
	}
	k := &knife{object: o, ko: slices.Clone(ko), size: l.fn.size, moves: map[place]move{}}
	// The functions of each table in order; the tables as the file has them.
	var first place
	var table []bool
	for i, f := range t.functions {
		if slices.Contains(t.places[:i], t.places[i]) {
			return nil, errors.New("two of its objects share a table")
		}
		if i > 0 && t.places[i] == t.places[i-1].plus(l.fn.size) {
			table = append(table, keep(f))
			continue
		}
		k.plan(first, table)
		first, table = t.places[i], []bool{keep(f)}
	}
	k.plan(first, table)
	if err := k.entries(); err != nil {
		return nil, err
	}
	return k.ko, k.relocations()
}

// knife takes entries out of tables in a module's file.
type knife struct {
	object *object
	ko     []byte
	size   uint64 // of an entry
	moves  map[place]move
}

// move is what becomes of an entry.
type move struct {
	to   place
	gone bool
}

// plan closes the gaps in one table: its end is the first entry without a name.
func (k *knife) plan(first place, table []bool) {
	kept := uint64(0)
	for i, keep := range table {
		from := first.plus(uint64(i) * k.size)
		k.moves[from] = move{to: first.plus(kept * k.size), gone: !keep}
		if keep {
			kept++
		}
	}
}

// holds says whether the section's bytes are in the file.
func (k *knife) holds(s *elf.Section) bool {
	n := uint64(len(k.ko))
	return s.Offset <= n && s.FileSize <= n-s.Offset
}

// entries moves the entries' own bytes.
func (k *knife) entries() error {
	before := slices.Clone(k.ko)
	at := func(p place) (uint64, error) {
		if int(p.section) < len(k.object.file.Sections) {
			s := k.object.file.Sections[p.section]
			if s.Type == elf.SHT_PROGBITS && k.holds(s) && k.size <= s.FileSize && p.offset <= s.FileSize-k.size {
				return s.Offset + p.offset, nil
			}
		}
		return 0, errors.New("an entry of its tables lies outside of the file")
	}
	for from := range k.moves {
		n, err := at(from)
		if err != nil {
			return err
		}
		clear(k.ko[n : n+k.size])
	}
	for from, m := range k.moves {
		if m.gone {
			continue
		}
		n, _ := at(from)
		to, _ := at(m.to)
		copy(k.ko[to:to+k.size], before[n:n+k.size])
	}
	return nil
}

// relocations moves those of the entries along; those of entries that go become
// R_X86_64_NONE, which the kernel passes over (arch/x86/kernel/module.c).
func (k *knife) relocations() error {
	const size = 24 // Elf64_Rela
	for _, s := range k.object.file.Sections {
		if s.Type != elf.SHT_RELA || !k.holds(s) {
			continue
		}
		raw := k.ko[s.Offset : s.Offset+s.FileSize]
		for ; len(raw) >= size; raw = raw[size:] {
			offset := binary.LittleEndian.Uint64(raw)
			for from, m := range k.moves {
				if from.section != elf.SectionIndex(s.Info) || offset < from.offset || offset >= from.offset+k.size {
					continue
				}
				if m.gone {
					clear(raw[:size])
				} else {
					binary.LittleEndian.PutUint64(raw, m.to.offset+offset-from.offset)
				}
				break
			}
		}
	}
	return nil
}
