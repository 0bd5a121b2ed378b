// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"fmt"

	"golang.org/x/arch/x86/x86asm"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// Where a function lies changes its code a little: the assembler shortens a
// jump to a function of the same section, and pads loops up to an address.
// With each function in a section of its own the compiled object lacks the one
// and lies differently for the other. So where the bytes differ the code is
// compared instruction by instruction, each side's padding left out, and every
// jump must lead to the same instruction.

// span is the range of image offsets that belong to one offset of the object:
// more than one where the image has padding that the object has not.
type span struct{ first, last int }

// flow is one such comparison.
type flow struct {
	matcher *matcher
	f       *function
	address uint64
	image   []byte
	i, j    int // where both sides are
	r       int // next relocation
	at      map[int]span
	jumps   []jump
	refs    []reference
}

// jump says that the instruction at offset from leads to offset to of the
// object and offset into of the image.
type jump struct{ from, to, into int }

// align compares f with what stands at address; see compare for the results.
// The map tells where in the image each instruction of f is.
func (m *matcher) align(f *function, address uint64) ([]reference, map[int]span, *mismatch) {
	w := &flow{matcher: m, f: f, address: address, at: map[int]span{}}
	w.image = m.space.at(address, len(f.code)+len(f.code)/2+64)
	for w.i < len(f.code) {
		s, seen := w.at[w.i]
		if !seen {
			s.first = w.j
		}
		s.last = w.j
		w.at[w.i] = s
		if why := w.step(); why != "" {
			return nil, nil, &mismatch{uint64(w.i), why}
		}
	}
	w.at[w.i] = span{w.j, w.j}
	for _, j := range w.jumps {
		if s, ok := w.at[j.to]; !ok || j.into < s.first || j.into > s.last {
			return nil, nil, &mismatch{uint64(j.from), fmt.Sprintf("it leads to another instruction, %#x bytes into the function, than in the source's %#x", j.into, j.to)}
		}
	}
	return w.refs, w.at, nil
}

// step goes past one instruction, or some padding; it says what differs.
func (w *flow) step() string {
	mine, err := decode(w.f.code[w.i:])
	if err != nil {
		return err.Error()
	}
	its, err := decode(w.image[min(w.j, len(w.image)):])
	if err != nil {
		return "the kernel's: " + err.Error()
	}
	a, b := w.f.code[w.i:w.i+mine.length], w.image[w.j:w.j+its.length]
	start := w.f.symbol.Value
	for w.r < len(w.f.relocs) && w.f.relocs[w.r].Offset < start+uint64(w.i) {
		w.r++
	}
	relocs := w.f.relocs[w.r:]
	for n, r := range relocs {
		if r.Offset >= start+uint64(w.i+mine.length) {
			relocs = relocs[:n]
			break
		}
	}
	site, isSite := w.f.sites.at(start + uint64(w.i))
	switch {
	case isSite && site.relaxed(a, b):
	case mine.branch != 0 && mine.branch == its.branch:
		if why := w.branch(mine, its, relocs); why != "" {
			return why
		}
	case len(a) == len(b) && w.same(a, b, relocs):
		for k := range relocs {
			if why := w.refer(&relocs[k], mine.length); why != "" {
				return why
			}
		}
	case isNop(a) && !isSite:
		w.i += len(a)
		return ""
	case isNop(b):
		w.j += len(b)
		return ""
	default:
		return fmt.Sprintf("the kernel has %s there, the source compiles to %s", show(b), show(a))
	}
	w.i += len(a)
	w.j += len(b)
	return ""
}

// branch takes a jump or call on both sides.
func (w *flow) branch(mine, its instruction, relocs []object.Reloc) string {
	into := w.j + its.length + its.displacement
	if len(relocs) == 0 {
		w.jumps = append(w.jumps, jump{w.i, w.i + mine.length + mine.displacement, into})
		return ""
	}
	r := &relocs[0]
	// What the linker, or the assembler before it, found for S + A - P, the
	// field ending where the instruction does.
	to := w.address + uint64(into)
	field := uint64(r.Offset - w.f.symbol.Value)
	bias := uint64(w.i+mine.length) - field
	return w.note(reference{offset: field, reloc: r, address: to - bias - uint64(r.Addend)}, into, bias)
}

// refer takes a relocation of an instruction that is as long on both sides.
func (w *flow) refer(r *object.Reloc, length int) string {
	field := int(r.Offset - w.f.symbol.Value)
	n, relative := width(r.Type)
	place := w.j + field - w.i
	if n == 0 || place+n > len(w.image) {
		return fmt.Sprintf("a relocation of type %v cannot be judged", r.Type)
	}
	ref := reference{offset: uint64(field), reloc: r, address: target(r, w.image[place:place+n], w.address+uint64(place))}
	bias := uint64(0)
	if relative {
		bias = uint64(w.i + length - field)
	}
	return w.note(ref, int(ref.address+uint64(r.Addend)+bias-w.address), bias)
}

// note keeps a reference; into is where it leads, counted from the function's
// beginning in the image.
func (w *flow) note(ref reference, into int, bias uint64) string {
	s, own := ref.reloc.Symbol, w.f.symbol
	if to := s.Value + uint64(ref.reloc.Addend) + bias - own.Value; s.Section == own.Section && to > 0 && to < own.Size {
		w.jumps = append(w.jumps, jump{w.i, int(to), into})
		return ""
	}
	if why := w.matcher.contradicts(&ref); why != "" {
		return why
	}
	w.refs = append(w.refs, ref)
	return ""
}

// same compares two instructions of one length but for what the linker fills
// in.
func (w *flow) same(a, b []byte, relocs []object.Reloc) bool {
	if len(relocs) == 0 {
		return bytes.Equal(a, b)
	}
	a, b = bytes.Clone(a), bytes.Clone(b)
	for _, r := range relocs {
		n, _ := width(r.Type)
		at := int(r.Offset-w.f.symbol.Value) - w.i
		if n == 0 || at+n > len(a) {
			return false
		}
		clear(a[at : at+n])
		clear(b[at : at+n])
	}
	return bytes.Equal(a, b)
}

// instruction is what the comparison needs of one.
type instruction struct {
	length       int
	branch       x86asm.Op // of a jump or call relative to its end, else 0
	displacement int
}

var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// decode reads the instruction that code begins with.
func decode(code []byte) (instruction, error) {
	if bytes.HasPrefix(code, endbr64) {
		return instruction{length: 4}, nil // the library takes f3 alone
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil {
		// Instructions without operands that are newer than the library:
		// clac, stac, serialize, vmcall and such.
		if len(code) >= 3 && code[0] == 0x0f && code[1] == 0x01 && code[2] >= 0xc0 {
			return instruction{length: 3}, nil
		}
		return instruction{}, fmt.Errorf("the instruction %s is not known", show(code))
	}
	out := instruction{length: in.Len}
	if rel, ok := in.Args[0].(x86asm.Rel); ok {
		out.branch, out.displacement = in.Op, int(rel)
	}
	return out, nil
}

// isNop says that an instruction does nothing and is there for its length.
func isNop(code []byte) bool {
	for len(code) > 1 && (code[0] == 0x66 || code[0] == 0x2e) {
		code = code[1:]
	}
	if len(code) > 2 && code[0]&0xf8 == 0x48 && code[1] == 0x0f {
		code = code[1:] // REX, of a no-op with eight bytes
	}
	return len(code) == 1 && code[0] == 0x90 || len(code) > 2 && code[0] == 0x0f && code[1] == 0x1f
}
