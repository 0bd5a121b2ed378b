// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// plainName is the symbol's name within its name for livepatch.
func plainName(symbol string) string {
	rest := strings.TrimPrefix(symbol, ".klp.sym.")
	if _, name, ok := strings.Cut(rest, "."); ok {
		rest = name
	}
	name, _, _ := strings.Cut(rest, ",")
	return name
}

// siteOf is the function that an entry of a table of sites, or a place in
// code, belongs to; "" if none is known.
func siteOf(o *object.Object, s *object.Section, offset uint64) string {
	if f := o.Function(s, offset); f != nil {
		return f.Name
	}
	// The tables name the code first in each entry.
	var found string
	for _, r := range s.Relocs {
		if r.Offset > offset {
			break
		}
		if r.Symbol.Section != nil {
			if f := o.Function(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend)); f != nil {
				found = f.Name
			}
		}
	}
	return found
}

// span is a run of bytes of a section.
type span struct{ from, to uint64 }

// spans are those that the kernel writes other instructions to, by section.
type spans map[*object.Section][]span

func (all spans) covers(s *object.Section, offset uint64) bool {
	for _, one := range all[s] {
		if one.from <= offset && offset < one.to {
			return true
		}
	}
	return false
}

// rewritten are the instructions that have alternatives: the first relocation
// of each entry is their place, the entry's last bytes their length. Source:
// struct alt_instr in arch/x86/include/asm/alternative.h, in which the length
// is followed by that of the replacement, and before 5.13 by a third byte.
func rewritten(o *object.Object) spans {
	all := spans{}
	s := o.Section(".altinstructions")
	if s == nil {
		return all
	}
	// Two relocations an entry: the instruction and the replacement.
	for i := 0; i+1 < len(s.Relocs); i += 2 {
		r := s.Relocs[i]
		if r.Symbol.Section == nil {
			continue
		}
		end := s.Size
		if i+2 < len(s.Relocs) {
			end = s.Relocs[i+2].Offset
		}
		at := s.Relocs[i].Offset + 10 // behind two offsets and the feature
		if end-s.Relocs[i].Offset >= 14 {
			at += 2 // the feature has 32 bits from 6.3 on, with the flags
		}
		if at >= uint64(len(s.Data)) {
			continue
		}
		from := r.Symbol.Value + uint64(r.Addend)
		all[r.Symbol.Section] = append(all[r.Symbol.Section], span{from, from + uint64(s.Data[at])})
	}
	return all
}

// callSites is the table of calls that the kernel counts against a
// processor's weakness, by redirecting each to a thunk of its callee.
const (
	callSites    = ".call_sites"
	callSiteSize = 4 // bytes of an entry: an offset from itself
)

// dropLateCalls takes the calls whose callee comes with a module out of that
// table: redirected before the callee is known, they would lead elsewhere, and
// then not be as livepatch expects them. Not counted, they are calls as in a
// module that was built without the table.
func dropLateCalls(o *object.Object) {
	late := map[*object.Section]map[uint64]bool{}
	for _, t := range o.Tables {
		if appliedWith(t) == VMLinux {
			continue
		}
		if late[t.Target] == nil {
			late[t.Target] = map[uint64]bool{}
		}
		for _, r := range t.Relocs {
			late[t.Target][r.Offset] = true
		}
	}
	s := o.Section(callSites)
	if s == nil || len(late) == 0 {
		return
	}
	const opcode = 1 // bytes of a call before its operand
	var kept []object.Reloc
	for _, r := range s.Relocs {
		if late[r.Symbol.Section][r.Symbol.Value+uint64(r.Addend)+opcode] {
			continue
		}
		r.Offset = uint64(len(kept)) * callSiteSize
		kept = append(kept, r)
	}
	s.Relocs, s.Size = kept, uint64(len(kept))*callSiteSize
	s.Data = make([]byte, s.Size)
}
