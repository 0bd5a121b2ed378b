// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// function is a function of the compiled object.
type function struct {
	symbol *object.Symbol
	code   []byte
	relocs []object.Reloc // with offsets in the section
	sites  *sites
}

// reference is what one relocation of a function tells: where the linker found
// its symbol.
type reference struct {
	offset  uint64 // in the function
	reloc   *object.Reloc
	address uint64 // of the symbol
	// inner is the function that the reference leads into the middle of, nil
	// if none: a function's cold part jumps back so. It then tells nothing of
	// where the symbol is, since the image may have that function's code at
	// other offsets.
	inner *object.Symbol
	to    uint64 // offset in inner
	into  uint64 // the address in the image that this leads to
}

// mismatch is the first place where image and object differ.
type mismatch struct {
	offset uint64 // in the function
	why    string
}

// width is the size in bytes of what a relocation fills in, and whether it is
// relative to its own place; 0 for one that compiled kernel code never has.
func width(t elf.R_X86_64) (n int, relative bool) {
	switch t {
	case elf.R_X86_64_PC32, elf.R_X86_64_PLT32:
		return 4, true
	case elf.R_X86_64_32, elf.R_X86_64_32S:
		return 4, false
	case elf.R_X86_64_64:
		return 8, false
	case elf.R_X86_64_PC64:
		return 8, true
	}
	return 0, false
}

// target is the address of the symbol by which the linker made the content of
// a field at address place.
func target(r *object.Reloc, field []byte, place uint64) uint64 {
	n, relative := width(r.Type)
	var value uint64
	switch {
	case n == 8:
		value = binary.LittleEndian.Uint64(field)
	case r.Type == elf.R_X86_64_32:
		value = uint64(binary.LittleEndian.Uint32(field))
	default:
		value = uint64(int64(int32(binary.LittleEndian.Uint32(field))))
	}
	if relative {
		value += place
		if n == 4 && value < 1<<32 && r.Type != elf.R_X86_64_PC64 {
			value &= 1<<32 - 1
		}
	}
	return value - uint64(r.Addend)
}

// compare compares f byte for byte with what stands at address. It gives where the
// image has the symbols that f refers to, or where the two differ first.
func (m *matcher) compare(f *function, address uint64) ([]reference, *mismatch) {
	image := m.space.at(address, len(f.code))
	if len(image) < len(f.code) {
		return nil, &mismatch{uint64(len(image)), "the image ends there"}
	}
	if bytes.Equal(image, f.code) && len(f.relocs) == 0 {
		return nil, nil
	}
	var refs []reference
	start := f.symbol.Value
	for at, r := 0, 0; at < len(f.code); {
		if site, ok := f.sites.at(start + uint64(at)); ok {
			if n := site.equal(f.code[at:], image[at:]); n > 0 {
				for ; r < len(f.relocs) && f.relocs[r].Offset < start+uint64(at+n); r++ {
				}
				at += n
				continue
			}
		}
		for r < len(f.relocs) && f.relocs[r].Offset < start+uint64(at) {
			r++
		}
		if r < len(f.relocs) && f.relocs[r].Offset == start+uint64(at) {
			n, _ := width(f.relocs[r].Type)
			if n == 0 || at+n > len(f.code) {
				return nil, &mismatch{uint64(at), fmt.Sprintf("a relocation of type %v cannot be judged", f.relocs[r].Type)}
			}
			ref := reference{offset: uint64(at), reloc: &f.relocs[r], address: target(&f.relocs[r], image[at:at+n], address+uint64(at))}
			if why := m.contradicts(&ref); why != "" {
				return nil, &mismatch{uint64(at), why}
			}
			refs = append(refs, ref)
			at += n
			continue
		}
		if image[at] != f.code[at] {
			return nil, &mismatch{uint64(at), fmt.Sprintf("the kernel has %s there, the source compiles to %s", show(image[at:]), show(f.code[at:]))}
		}
		at++
	}
	return refs, nil
}

// show is the beginning of some code for a message.
func show(code []byte) string { return fmt.Sprintf("% x", code[:min(len(code), 6)]) }

// contradicts says why a reference cannot be to its symbol: the kernel has a
// symbol of that name, but not there, or a string or constant of another
// content. "" if nothing speaks against it.
func (m *matcher) contradicts(ref *reference) string {
	s := ref.reloc.Symbol
	m.findInner(ref)
	switch {
	case ref.inner != nil:
	case s.Section != nil && s.Section.Flags&elf.SHF_MERGE != 0:
		return m.differs(ref)
	case s.Section != nil:
		base := ref.address - s.Value
		if bound, ok := m.sections[s.Section]; ok && bound != base && s.Bind != elf.STB_WEAK {
			return fmt.Sprintf("it refers to %s at %#x, other code of the file at %#x", s.Section.Name, base, bound)
		}
		for _, named := range m.named[s.Section] {
			if why := m.elsewhere(named, base+named.Value); why != "" {
				return why
			}
		}
	case s.Index == elf.SHN_ABS:
		if ref.address != s.Value {
			return fmt.Sprintf("it refers to the constant %s as %#x instead of %#x", s.Name, ref.address, s.Value)
		}
	default:
		return m.elsewhere(s, ref.address)
	}
	return ""
}

// findInner finds whether a reference leads into the middle of a function.
func (m *matcher) findInner(ref *reference) {
	s := ref.reloc.Symbol
	if s.Section == nil || s.Section.Flags&elf.SHF_EXECINSTR == 0 {
		return
	}
	after := uint64(ref.reloc.Addend)
	if n, relative := width(ref.reloc.Type); relative {
		after += uint64(n) // code refers to code at the end of an instruction
	}
	to := s.Value + after
	for _, f := range m.named[s.Section] {
		if f.Type == elf.STT_FUNC && to > f.Value && to-f.Value < f.Size {
			ref.inner, ref.to, ref.into = f, to-f.Value, ref.address+after
		}
	}
}

// elsewhere says that the kernel knows a name, but not at address.
func (m *matcher) elsewhere(s *object.Symbol, address uint64) string {
	known := m.addresses(s)
	if len(known) == 0 {
		return ""
	}
	for _, a := range known {
		if a == address {
			return ""
		}
	}
	if s.Bind == elf.STB_WEAK && address == 0 {
		return ""
	}
	return fmt.Sprintf("it refers to %s at %#x, where the kernel has %s", s.Name, address, m.describe(address))
}

// differs compares the string or constant that a reference is to.
func (m *matcher) differs(ref *reference) string {
	s := ref.reloc.Symbol
	from, at := s.Value, ref.address
	if s.Type == elf.STT_SECTION {
		// The addend says which one is meant; by a symbol of its own it may
		// lead past it, as the end of a loop does.
		offset := uint64(ref.reloc.Addend)
		if n, relative := width(ref.reloc.Type); relative {
			offset += uint64(n)
		}
		from += offset
		at += offset
	}
	if from > uint64(len(s.Section.Data)) {
		return fmt.Sprintf("it refers to %#x in %s, which ends before", from, s.Section.Name)
	}
	want := s.Section.Data[from:]
	if s.Section.Flags&elf.SHF_STRINGS != 0 {
		want, _, _ = bytes.Cut(want, []byte{0})
		got, ok := m.space.stringAt(at)
		if !ok {
			return fmt.Sprintf("it refers to a string at %#x, where the image has nothing", at)
		}
		if !bytes.Equal(got, want) {
			return fmt.Sprintf("it refers to the string %q, the source has %q", clip(got), clip(want))
		}
		return ""
	}
	want = want[:min(uint64(len(want)), max(s.Section.Entsize, 1))]
	if got := m.space.at(at, len(want)); !bytes.Equal(got, want) {
		return fmt.Sprintf("it refers to the constant % x, the source has % x", got, want)
	}
	return ""
}

func clip(text []byte) []byte { return text[:min(len(text), 60)] }
