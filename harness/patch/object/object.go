// SPDX-License-Identifier: Apache-2.0

// Package object is a relocatable ELF object for x86-64 in memory, as a
// compiler leaves one: read, changed, written again.
//
// What lives here: the model, the reader (on debug/elf) and the writer. What
// must not: what a section means to the kernel, and which of two objects is
// the newer.
package object

import "debug/elf"

// Object is one relocatable object (ET_REL, EM_X86_64).
type Object struct {
	Name     string // for messages: the file it came from
	Sections []*Section
	Symbols  []*Symbol // in file order, without the null symbol
	// Tables are relocations that the kernel applies by itself, section by
	// section and not when the file is loaded: those flagged RelaLivepatch.
	Tables []*Table
}

// Table is one such relocation section: part of the loaded module, beside the
// relocations that Target has of its own.
type Table struct {
	Name   string
	Flags  elf.SectionFlag
	Target *Section
	Relocs []Reloc // sorted by Offset
}

// The kernel's own additions to ELF. Source: include/uapi/linux/elf.h.
const (
	RelaLivepatch elf.SectionFlag  = 0x00100000 // SHF_RELA_LIVEPATCH
	Livepatch     elf.SectionIndex = 0xff20     // SHN_LIVEPATCH, of a symbol that livepatch looks up
)

// Section is one section that is not a symbol, string or relocation table:
// those are made by the writer.
type Section struct {
	Name    string
	Type    elf.SectionType // SHT_PROGBITS, SHT_NOBITS, SHT_NOTE, …
	Flags   elf.SectionFlag
	Align   uint64 // bytes
	Entsize uint64 // bytes
	Size    uint64 // bytes; len(Data) but for SHT_NOBITS
	Data    []byte
	Relocs  []Reloc  // sorted by Offset
	Group   string   // signature of its COMDAT group, "" without
	Linked  *Section // of SHF_LINK_ORDER, else nil
}

// Symbol is one symbol.
type Symbol struct {
	Name    string
	Bind    elf.SymBind
	Type    elf.SymType
	Vis     elf.SymVis
	Section *Section         // nil: see Index
	Index   elf.SectionIndex // where Section is nil: SHN_UNDEF, SHN_ABS, SHN_COMMON, or one of the kernel's own
	Value   uint64           // offset in Section
	Size    uint64           // bytes
}

// Reloc is one relocation with addend.
type Reloc struct {
	Offset uint64 // in the section
	Type   elf.R_X86_64
	Symbol *Symbol // never nil
	Addend int64
}

// Undefined says that the symbol must come from elsewhere.
func (s *Symbol) Undefined() bool { return s.Section == nil && s.Index == elf.SHN_UNDEF }

// Section gives the section of that name, nil without one; of several the
// first.
func (o *Object) Section(name string) *Section {
	for _, s := range o.Sections {
		if s.Name == name {
			return s
		}
	}
	return nil
}
