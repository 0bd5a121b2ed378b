// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"cmp"
	"debug/elf"
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// Stored is an address of the patch's own data that its code writes to memory.
// What keeps it has a dangling pointer once the patch is unloaded.
type Stored struct {
	Function string // that writes it
	What     string // a variable's name, or a string in quotation marks
}

// stored are the addresses that the selected code writes elsewhere than to its
// own stack and to data that goes with it. Only what is sure counts: the address
// is written as it stands, or from a register that has it for certain.
func (s *selector) stored() (all []Stored) {
	for _, a := range s.post.atoms {
		if !a.code || !s.included[a] || len(a.symbols) == 0 || a.section.Type == elf.SHT_NOBITS || boot(a.section.Name) {
			continue
		}
		for _, r := range s.writes(a) {
			all = append(all, Stored{parent(a.name()), what(r)})
		}
	}
	slices.SortFunc(all, func(a, b Stored) int { return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.What, b.What)) })
	return slices.Compact(all)
}

// goes says that what r is about is data that comes and goes with the patch.
func (s *selector) goes(r *ref) bool {
	switch {
	case r == nil || r.section == nil || r.entry != nil || r.section.Flags&elf.SHF_EXECINSTR != 0:
		return false
	case s.post.kinds[r.section] == merged:
		return true
	}
	return r.target != nil && s.included[r.target]
}

// what is it about, for people.
func what(r *ref) string {
	if r.target != nil && r.target.name() != "" {
		name, _ := stem(r.target.name())
		return name
	}
	if text := r.section.Data; r.section.Flags&elf.SHF_STRINGS != 0 && r.place >= 0 && int(r.place) < len(text) {
		text = text[r.place:]
		if end := slices.Index(text, 0); end >= 0 {
			text = text[:end]
		}
		const most = 40
		if len(text) > most {
			return fmt.Sprintf("%.*q…", most, text)
		}
		return fmt.Sprintf("%q", text)
	}
	return "a constant"
}

// writes are the references of a function whose address it writes to memory.
func (s *selector) writes(a *atom) (found []*ref) {
	code := a.bytes()
	stack, enters := s.frame(a), s.entered(a)
	outside := func(m x86asm.Mem, at, end int) bool {
		if m.Segment == x86asm.FS || m.Segment == x86asm.GS {
			return true // a variable of the CPU's
		}
		if stack[encoded64(m.Base)] {
			return false
		}
		return !s.goes(a.refIn(at, end-4)) // the last four bytes are the value itself, if one is there
	}
	holds := map[int]*ref{} // by register
	instructions(code, func(at, n int) bool {
		if enters[int64(at)] {
			clear(holds)
		}
		in, err := x86asm.Decode(code[at:at+n], 64)
		if err != nil {
			if n != len(endbr64) {
				clear(holds)
			}
			return true
		}
		value := a.refAt(at + n - 4) // of an immediate
		to, register := in.Args[0].(x86asm.Reg)
		memory, writes := in.Args[0].(x86asm.Mem)
		switch {
		case in.Op == x86asm.MOV && writes:
			if from, ok := in.Args[1].(x86asm.Reg); ok {
				if r := holds[encoded64(from)]; r != nil && outside(memory, at, at+n+4) {
					found = append(found, r)
				}
			} else if s.goes(value) && value.symbol != nil && in.MemBytes == 8 && outside(memory, at, at+n) {
				found = append(found, value)
			}
		case in.Op == x86asm.MOV && register:
			from, moved := in.Args[1].(x86asm.Reg)
			held := holds[encoded64(from)]
			delete(holds, encoded(to))
			if moved && held != nil && encoded64(to) >= 0 {
				holds[encoded(to)] = held
			} else if _, ok := in.Args[1].(x86asm.Imm); ok && encoded(to) >= 0 && s.goes(value) {
				holds[encoded(to)] = value
			}
		case in.Op == x86asm.LEA && register:
			delete(holds, encoded(to))
			if m, ok := in.Args[1].(x86asm.Mem); ok && m.Base == x86asm.RIP && s.goes(value) {
				holds[encoded(to)] = value
			}
		case in.Op == x86asm.CALL:
			for _, r := range scratch {
				delete(holds, encoded(r))
			}
		case in.Op == x86asm.CMP || in.Op == x86asm.TEST || in.Op == x86asm.PUSH || in.Op == x86asm.NOP || conditional(in.Op):
			// Nothing is written to a register.
		case straight(in) && (register || writes):
			if register {
				delete(holds, encoded(to))
			}
		default:
			clear(holds)
		}
		return true
	})
	return found
}

// scratch are the registers that a call may change. Source: the System V ABI.
var scratch = []x86asm.Reg{x86asm.RAX, x86asm.RCX, x86asm.RDX, x86asm.RSI, x86asm.RDI, x86asm.R8, x86asm.R9, x86asm.R10, x86asm.R11}

// conditional jumps go on to the next instruction, too.
func conditional(op x86asm.Op) bool {
	switch op {
	case x86asm.JA, x86asm.JAE, x86asm.JB, x86asm.JBE, x86asm.JE, x86asm.JG, x86asm.JGE, x86asm.JL, x86asm.JLE,
		x86asm.JNE, x86asm.JNO, x86asm.JNP, x86asm.JNS, x86asm.JO, x86asm.JP, x86asm.JS:
		return true
	}
	return false
}

// encoded64 is encoded of a whole register, -1 of any other.
func encoded64(r x86asm.Reg) int {
	if r >= x86asm.RAX && r <= x86asm.R15 {
		return encoded(r)
	}
	return -1
}

// frame are the registers that may hold an address on the function's own stack
// anywhere in it.
func (s *selector) frame(a *atom) map[int]bool {
	code := a.bytes()
	stack := map[int]bool{encoded(x86asm.RSP): true}
	instructions(code, func(at, n int) bool {
		in, err := x86asm.Decode(code[at:at+n], 64)
		if err != nil || in.Op != x86asm.LEA && in.Op != x86asm.MOV {
			return true
		}
		to, ok := in.Args[0].(x86asm.Reg)
		if !ok {
			return true
		}
		from := x86asm.Reg(0)
		switch x := in.Args[1].(type) {
		case x86asm.Mem:
			if in.Op == x86asm.LEA {
				from = x.Base
			}
		case x86asm.Reg:
			from = x
		}
		if n := encoded(to); n >= 0 && stack[encoded64(from)] {
			stack[n] = true
		}
		return true
	})
	return stack
}

// entered are the places in a function that may be come to from elsewhere than
// from the instruction before.
func (s *selector) entered(a *atom) map[int64]bool {
	code := a.bytes()
	places := map[int64]bool{}
	instructions(code, func(at, n int) bool {
		if in, err := x86asm.Decode(code[at:at+n], 64); err == nil {
			if rel, ok := in.Args[0].(x86asm.Rel); ok {
				places[int64(at+n)+int64(rel)] = true
			}
		}
		return true
	})
	mark := func(refs []ref) {
		for _, r := range refs {
			if r.target == a {
				places[r.place-int64(a.start)] = true
			}
		}
	}
	for _, b := range s.post.atoms {
		mark(b.refs)
	}
	for _, rows := range s.post.rows {
		for _, e := range rows {
			mark(e.refs)
		}
	}
	return places
}

// refIn is the first reference in the bytes from up to end.
func (a *atom) refIn(from, end int) *ref {
	for i := range a.refs {
		if a.refs[i].at >= int64(from) && a.refs[i].at < int64(end) {
			return &a.refs[i]
		}
	}
	return nil
}
