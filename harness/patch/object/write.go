// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const (
	headerSize        = 64 // Elf64_Ehdr, bytes
	sectionHeaderSize = 64 // Elf64_Shdr
	symbolSize        = 24 // Elf64_Sym
	groupComdat       = 1  // GRP_COMDAT
	// coarsest is the largest alignment in bytes that is believed: twice what
	// a huge page needs.
	coarsest = 1 << 22
)

// Write writes the object as a file that Read gives back the same. The bytes
// are a function of the object alone. Local symbols are put first, as ELF
// wants it, each kind in the order of o.Symbols. An object that no file can
// hold (a relocation by a symbol that is not of the object, say) gives an
// error, and nothing is written.
func (o *Object) Write(w io.Writer) error {
	e := writer{object: o, index: map[*Section]uint32{}, symbols: map[*Symbol]uint64{}}
	for _, step := range []func() error{e.layOut, e.writeSections, e.writeSymbols, e.writeRelocs, e.writeGroups} {
		if err := step(); err != nil {
			return fmt.Errorf("%s: write: %w", o.Name, err)
		}
	}
	_, err := w.Write(e.finish())
	return err
}

// writer is one file under way. Headers are numbered first, since everything
// refers to them, and filled in with their contents afterwards.
type writer struct {
	object  *Object
	index   map[*Section]uint32 // of sections in the file
	symbols map[*Symbol]uint64  // index in the symbol table
	locals  uint32              // how many, with the null symbol

	headers []elf.Section64
	names   stringTable // of sections
	out     bytes.Buffer

	relas  []rela
	groups []*group

	symtab, strtab, shstrtab uint32
}

// rela is a relocation section to be written.
type rela struct {
	header uint32
	relocs []Reloc
	target *Section
}

// group is a COMDAT group to be written.
type group struct {
	header    uint32
	signature string
	symbol    *Symbol
	members   []uint32
}

// stringTable collects strings, each once.
type stringTable struct {
	bytes []byte
	at    map[string]uint32
}

func (t *stringTable) add(s string) uint32 {
	if t.at == nil {
		t.at, t.bytes = map[string]uint32{"": 0}, []byte{0}
	}
	at, known := t.at[s]
	if !known {
		at = uint32(len(t.bytes))
		t.bytes = append(append(t.bytes, s...), 0)
		t.at[s] = at
	}
	return at
}

// header adds a section's header.
func (e *writer) header(name string, h elf.Section64) uint32 {
	h.Name = e.names.add(name)
	e.headers = append(e.headers, h)
	return uint32(len(e.headers) - 1)
}

// layOut gives each section its number: groups come before their members, a
// section's relocations behind it.
func (e *writer) layOut() error {
	e.headers = []elf.Section64{{}}
	bySignature := map[string]*group{}
	for _, s := range e.object.Sections {
		if s.Group == "" || bySignature[s.Group] != nil {
			continue
		}
		g := &group{signature: s.Group, header: e.header(".group", elf.Section64{Type: uint32(elf.SHT_GROUP), Addralign: 4, Entsize: 4})}
		bySignature[s.Group] = g
		e.groups = append(e.groups, g)
	}
	for _, s := range e.object.Sections {
		if e.index[s] != 0 {
			return fmt.Errorf("section %s is listed twice", s.Name)
		}
		if err := s.check(); err != nil {
			return err
		}
		flags := s.Flags &^ elf.SHF_GROUP
		if s.Group != "" {
			flags |= elf.SHF_GROUP
		}
		e.index[s] = e.header(s.Name, elf.Section64{Type: uint32(s.Type), Flags: uint64(flags), Addralign: s.Align, Entsize: s.Entsize, Size: s.Size})
		if g := bySignature[s.Group]; g != nil {
			g.members = append(g.members, e.index[s])
		}
		if len(s.Relocs) > 0 {
			e.relas = append(e.relas, rela{e.relaHeader(".rela"+s.Name, flags&elf.SHF_GROUP), s.Relocs, s})
			if g := bySignature[s.Group]; g != nil {
				g.members = append(g.members, uint32(len(e.headers)-1))
			}
		}
	}
	for _, t := range e.object.Tables {
		if t.Target == nil || e.index[t.Target] == 0 {
			return fmt.Errorf("table %s is about a section that is not of the object", t.Name)
		}
		if t.Flags&RelaLivepatch == 0 || strings.ContainsRune(t.Name, 0) {
			return fmt.Errorf("table %q is not one of the kernel's own", t.Name)
		}
		e.relas = append(e.relas, rela{e.relaHeader(t.Name, t.Flags), t.Relocs, t.Target})
	}
	e.symtab = e.header(".symtab", elf.Section64{Type: uint32(elf.SHT_SYMTAB), Addralign: 8, Entsize: symbolSize})
	e.strtab = e.header(".strtab", elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1})
	e.shstrtab = e.header(".shstrtab", elf.Section64{Type: uint32(elf.SHT_STRTAB), Addralign: 1})
	if len(e.headers) >= int(elf.SHN_LORESERVE) {
		return fmt.Errorf("%d sections are more than this writer can number", len(e.headers))
	}
	return nil
}

func (e *writer) relaHeader(name string, flags elf.SectionFlag) uint32 {
	return e.header(name, elf.Section64{Type: uint32(elf.SHT_RELA), Flags: uint64(flags | elf.SHF_INFO_LINK), Addralign: 8, Entsize: relaSize})
}

// check refuses a section that no file can hold.
func (s *Section) check() error {
	switch {
	case strings.ContainsRune(s.Name, 0):
		return fmt.Errorf("section %q: a name cannot hold a zero byte", s.Name)
	case s.Type != elf.SHT_NOBITS && uint64(len(s.Data)) != s.Size:
		return fmt.Errorf("section %s: %d bytes of data for a size of %d", s.Name, len(s.Data), s.Size)
	case s.Align&(s.Align-1) != 0 || s.Align > coarsest:
		return fmt.Errorf("section %s: an alignment of %d", s.Name, s.Align)
	}
	switch s.Type {
	case elf.SHT_NULL, elf.SHT_SYMTAB, elf.SHT_STRTAB, elf.SHT_RELA, elf.SHT_REL, elf.SHT_GROUP, elf.SHT_SYMTAB_SHNDX:
		return fmt.Errorf("section %s: a %v is made by the writer", s.Name, s.Type)
	}
	return nil
}

// append puts bytes behind what is there, aligned, as the section's content.
func (e *writer) append(header uint32, data []byte) {
	h := &e.headers[header]
	e.pad(h.Addralign)
	h.Off, h.Size = uint64(headerSize+e.out.Len()), uint64(len(data))
	e.out.Write(data)
}

// pad fills up to a multiple of align bytes in the file.
func (e *writer) pad(align uint64) {
	if align > 1 {
		at := uint64(headerSize + e.out.Len())
		e.out.Write(make([]byte, -at&(align-1)))
	}
}

func (e *writer) writeSections() error {
	for _, s := range e.object.Sections {
		h := &e.headers[e.index[s]]
		if s.Flags&elf.SHF_LINK_ORDER != 0 && s.Linked != nil {
			if h.Link = e.index[s.Linked]; h.Link == 0 {
				return fmt.Errorf("section %s goes with one that is not of the object", s.Name)
			}
		}
		if s.Type == elf.SHT_NOBITS {
			h.Off = uint64(headerSize + e.out.Len())
			continue
		}
		e.append(e.index[s], s.Data)
	}
	return nil
}

func (e *writer) writeSymbols() error {
	names := &stringTable{}
	names.add("")
	table := make([]byte, symbolSize) // the null symbol
	ordered := make([]*Symbol, 0, len(e.object.Symbols))
	for _, local := range []bool{true, false} {
		for _, s := range e.object.Symbols {
			if (s.Bind == elf.STB_LOCAL) == local {
				ordered = append(ordered, s)
			}
		}
		for _, g := range e.groups { // a signature without a symbol gets one
			if local && !e.signed(g) {
				g.symbol = &Symbol{Name: g.signature, Bind: elf.STB_LOCAL, Index: elf.SHN_ABS}
				ordered = append(ordered, g.symbol)
			}
		}
		if local {
			e.locals = uint32(len(ordered)) + 1
		}
	}
	for i, s := range ordered {
		if e.symbols[s] != 0 {
			return fmt.Errorf("symbol %q is listed twice", s.Name)
		}
		e.symbols[s] = uint64(i) + 1
		raw := elf.Sym64{Info: elf.ST_INFO(s.Bind, s.Type), Other: byte(s.Vis) & 3, Shndx: uint16(s.Index), Value: s.Value, Size: s.Size}
		if s.Section != nil {
			n := e.index[s.Section]
			if n == 0 {
				return fmt.Errorf("symbol %q is in section %s, which is not of the object", s.Name, s.Section.Name)
			}
			if s.Value > s.Section.Size {
				return fmt.Errorf("symbol %q is at %#x of the %#x bytes of %s", s.Name, s.Value, s.Section.Size, s.Section.Name)
			}
			raw.Shndx = uint16(n)
		} else if s.Index != elf.SHN_UNDEF && s.Index < elf.SHN_LORESERVE || s.Index >= elf.SHN_XINDEX {
			return fmt.Errorf("symbol %q has no section, and its number is %d", s.Name, s.Index)
		}
		if strings.ContainsRune(s.Name, 0) {
			return fmt.Errorf("symbol %q: a name cannot hold a zero byte", s.Name)
		}
		if s.Type != elf.STT_SECTION || s.Section == nil { // those go by their section's
			raw.Name = names.add(s.Name)
		}
		var err error
		if table, err = binary.Append(table, binary.LittleEndian, raw); err != nil {
			return err
		}
	}
	e.append(e.symtab, table)
	e.headers[e.symtab].Link, e.headers[e.symtab].Info = e.strtab, e.locals
	e.append(e.strtab, names.bytes)
	return nil
}

// signed finds the symbol of a group's name.
func (e *writer) signed(g *group) bool {
	for _, s := range e.object.Symbols {
		if s.Name == g.signature {
			g.symbol = s
			return true
		}
	}
	return false
}

func (e *writer) writeRelocs() error {
	for _, r := range e.relas {
		table := make([]byte, 0, len(r.relocs)*relaSize)
		for _, one := range r.relocs {
			n := e.symbols[one.Symbol]
			switch {
			case one.Symbol == nil:
				return fmt.Errorf("section %s: a relocation at %#x by no symbol", r.target.Name, one.Offset)
			case n == 0:
				return fmt.Errorf("section %s: a relocation at %#x by %q, which is not a symbol of the object", r.target.Name, one.Offset, one.Symbol.Name)
			case one.Offset >= r.target.Size:
				return fmt.Errorf("section %s: a relocation at %#x of %#x bytes", r.target.Name, one.Offset, r.target.Size)
			}
			table = binary.LittleEndian.AppendUint64(table, one.Offset)
			table = binary.LittleEndian.AppendUint64(table, n<<32|uint64(uint32(one.Type)))
			table = binary.LittleEndian.AppendUint64(table, uint64(one.Addend))
		}
		e.append(r.header, table)
		e.headers[r.header].Link, e.headers[r.header].Info = e.symtab, e.index[r.target]
	}
	return nil
}

func (e *writer) writeGroups() error {
	for _, g := range e.groups {
		words := binary.LittleEndian.AppendUint32(nil, groupComdat)
		for _, m := range g.members {
			words = binary.LittleEndian.AppendUint32(words, m)
		}
		e.append(g.header, words)
		e.headers[g.header].Link, e.headers[g.header].Info = e.symtab, uint32(e.symbols[g.symbol])
	}
	return nil
}

// finish puts the file together.
func (e *writer) finish() []byte {
	e.append(e.shstrtab, e.names.bytes)
	e.pad(8)
	h := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: uint64(headerSize + e.out.Len()), Ehsize: headerSize, Shentsize: sectionHeaderSize,
		Shnum: uint16(len(e.headers)), Shstrndx: uint16(e.shstrtab),
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	var file bytes.Buffer
	_ = binary.Write(&file, binary.LittleEndian, h) // a bytes.Buffer takes all
	file.Write(e.out.Bytes())
	_ = binary.Write(&file, binary.LittleEndian, e.headers)
	return file.Bytes()
}
