// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"cmp"
	"debug/elf"
	"slices"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// replacements is the section of the code that alternatives put in place.
const replacements = ".altinstr_replacement"

// readTables cuts the tables into entries and gives them to their owners.
func (u *unit) readTables() {
	for _, s := range u.object.Sections {
		if t := tableOf(s.Name); t != nil && u.kinds[s] == tabular && s.Type != elf.SHT_NOBITS {
			u.rows[s] = u.cut(s, t)
		}
	}
	for _, a := range u.atoms {
		u.toEntries(a.refs)
	}
	for _, s := range u.object.Sections {
		for _, e := range u.rows[s] {
			u.toEntries(e.refs)
			owner := e.owner()
			if owner == nil {
				continue
			}
			e.at = e.refs[0].place - int64(owner.start)
			owner.entries = append(owner.entries, e)
		}
	}
	for _, a := range u.atoms {
		// Within a table by place: in which order gcc gave out the functions'
		// parts does not matter, but two about one place keep theirs.
		slices.SortStableFunc(a.entries, func(x, y *entry) int {
			return cmp.Or(cmp.Compare(x.section.Name, y.section.Name), cmp.Compare(x.at, y.at))
		})
	}
}

func (u *unit) cut(s *object.Section, t *table) []*entry {
	var starts []uint64
	if t.stride > 0 {
		for at := uint64(0); at+uint64(t.stride) <= s.Size; at += uint64(t.stride) {
			starts = append(starts, at)
		}
	} else {
		for _, r := range s.Relocs {
			to := r.Symbol.Section
			if to == nil || to.Flags&elf.SHF_EXECINSTR == 0 || to.Name == replacements {
				continue
			}
			starts = append(starts, r.Offset)
		}
		starts = slices.Compact(starts)
	}
	var all []*entry
	for i, start := range starts {
		end := s.Size
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if t.stride > 0 {
			end = start + uint64(t.stride)
		}
		e := &entry{table: t, section: s, start: start, end: end, refs: u.refs(s, start, end, int64(start))}
		for i := range e.refs {
			e.refs[i].call = true // of the code itself, whoever else has its address
		}
		if n, ok := e.replaced(); ok && n == 0 {
			// Nothing is at the place that it names, so it is not that of
			// another one.
			at, of := e.refs[1].at, e.refs[1].section
			e.refs[1] = e.refs[0]
			e.refs[1].at, e.refs[1].nothing = at, of
		}
		all = append(all, e)
	}
	return all
}

// toEntries resolves references from code to entries of tables.
func (u *unit) toEntries(refs []ref) {
	for i := range refs {
		r := &refs[i]
		if r.section == nil || u.kinds[r.section] != tabular || r.place < 0 {
			continue
		}
		rows := u.rows[r.section]
		n, exact := slices.BinarySearchFunc(rows, uint64(r.place), func(e *entry, at uint64) int { return cmp.Compare(e.start, at) })
		if !exact {
			n--
		}
		if n >= 0 && uint64(r.place) < rows[n].end {
			r.entry = rows[n]
		}
	}
}

// bytes of the entry; the padding up to the next one is not of it.
func (e *entry) bytes() []byte { return e.section.Data[e.start:e.end] }

// content is the part of the entry that says something: without the padding,
// which the last of a section lacks.
func (e *entry) content() []byte {
	b := e.bytes()
	if e.stride > 0 || len(e.refs) == 0 {
		return b
	}
	last := int(e.refs[len(e.refs)-1].at) + 4
	if e.refs[len(e.refs)-1].typ == elf.R_X86_64_64 {
		last += 4
	}
	for len(b) > last && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// lineAt is where in the entry the line number stands, in 2 bytes; -1 without.
func (e *entry) lineAt() int {
	if !e.lines || len(e.refs) < 2 {
		return -1 // built without CONFIG_DEBUG_BUGVERBOSE
	}
	at := int(e.refs[len(e.refs)-1].at) + 4
	if at+2 > int(e.end-e.start) {
		return -1
	}
	return at
}

// replaced says how many bytes of the second reference's target an
// alternative puts in place: the entry's last but padding (struct alt_instr).
func (e *entry) replaced() (int, bool) {
	if e.table.name != ".altinstructions" || len(e.refs) != 2 {
		return 0, false
	}
	switch b := e.bytes(); len(b) {
	case 12, 13: // 13: with padlen, up to 5.17
		return int(b[11]), true
	case 14:
		return int(b[13]), true
	}
	return 0, false
}
