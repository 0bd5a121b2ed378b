// SPDX-License-Identifier: Apache-2.0

package object

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// largest is the size in bytes above which a section is not believed.
const largest = 1 << 30

// Open reads the object at path.
func Open(path string) (*Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(path, f)
}

// Read reads an object. name is for messages. A truncated or hostile file
// gives an error.
func Read(name string, r io.ReaderAt) (*Object, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_REL {
		return nil, fmt.Errorf("%s: not a relocatable object for x86-64 (%v, %v, %v)", name, f.Class, f.Machine, f.Type)
	}
	d := reader{file: f, object: &Object{Name: name}, sections: make([]*Section, len(f.Sections))}
	for _, step := range []func() error{d.readSections, d.readSymbols, d.readRelocs, d.readGroups} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return d.object, nil
}

type reader struct {
	file     *elf.File
	object   *Object
	sections []*Section // by index in the file; nil for tables
	symbols  []*Symbol  // by index in the file; [0] is nil
}

func (d *reader) readSections() error {
	for i, s := range d.file.Sections {
		switch s.Type {
		case elf.SHT_NULL, elf.SHT_SYMTAB, elf.SHT_STRTAB, elf.SHT_RELA, elf.SHT_GROUP, elf.SHT_SYMTAB_SHNDX:
			continue
		case elf.SHT_REL:
			return fmt.Errorf("section %s: relocations without addend are not for x86-64", s.Name)
		}
		if s.Flags&elf.SHF_COMPRESSED != 0 {
			return fmt.Errorf("section %s is compressed", s.Name)
		}
		if s.Size > largest {
			return fmt.Errorf("section %s: a size of %d bytes is not believed", s.Name, s.Size)
		}
		made := &Section{Name: s.Name, Type: s.Type, Flags: s.Flags, Align: s.Addralign, Entsize: s.Entsize, Size: s.Size}
		if s.Type != elf.SHT_NOBITS {
			data, err := s.Data()
			if err != nil {
				return fmt.Errorf("section %s: %w", s.Name, err)
			}
			made.Data = data
		}
		d.sections[i] = made
		d.object.Sections = append(d.object.Sections, made)
	}
	for i, s := range d.file.Sections {
		if made := d.sections[i]; made != nil && s.Flags&elf.SHF_LINK_ORDER != 0 && s.Link > 0 && int(s.Link) < len(d.sections) {
			made.Linked = d.sections[s.Link]
		}
	}
	return nil
}

func (d *reader) readSymbols() error {
	symbols, err := d.file.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return nil
	}
	if err != nil {
		return err
	}
	d.symbols = make([]*Symbol, len(symbols)+1)
	for i, s := range symbols {
		made := &Symbol{
			Name: s.Name, Bind: elf.ST_BIND(s.Info), Type: elf.ST_TYPE(s.Info), Vis: elf.ST_VISIBILITY(s.Other),
			Index: s.Section, Value: s.Value, Size: s.Size,
		}
		switch {
		case s.Section == elf.SHN_XINDEX:
			return fmt.Errorf("symbol %q: more sections than this reader takes", s.Name)
		case s.Section > elf.SHN_UNDEF && s.Section < elf.SHN_LORESERVE:
			if int(s.Section) >= len(d.sections) {
				return fmt.Errorf("symbol %q is in section %d of %d", s.Name, s.Section, len(d.sections))
			}
			made.Section, made.Index = d.sections[s.Section], 0
			if made.Section == nil { // of a table, as the signature of a group may be
				made.Index = elf.SHN_ABS
			} else if made.Value > made.Section.Size {
				return fmt.Errorf("symbol %q is at %#x of the %#x bytes of %s", s.Name, made.Value, made.Section.Size, made.Section.Name)
			}
		}
		if made.Section != nil && made.Type == elf.STT_SECTION {
			made.Name = made.Section.Name
		}
		d.symbols[i+1] = made
		d.object.Symbols = append(d.object.Symbols, made)
	}
	return nil
}

// relaSize is the size of an Elf64_Rela in bytes.
const relaSize = 24

func (d *reader) readRelocs() error {
	for _, s := range d.file.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		if int(s.Info) >= len(d.sections) || d.sections[s.Info] == nil {
			return fmt.Errorf("%s is about section %d, which is none", s.Name, s.Info)
		}
		target := d.sections[s.Info]
		data, err := s.Data()
		if err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
		if len(data)%relaSize != 0 {
			return fmt.Errorf("section %s: %d bytes are no whole number of relocations", s.Name, len(data))
		}
		relocs := &target.Relocs
		if s.Flags&RelaLivepatch != 0 {
			t := &Table{Name: s.Name, Flags: s.Flags &^ elf.SHF_INFO_LINK, Target: target}
			d.object.Tables = append(d.object.Tables, t)
			relocs = &t.Relocs
		}
		for ; len(data) > 0; data = data[relaSize:] {
			info := binary.LittleEndian.Uint64(data[8:])
			r := Reloc{
				Offset: binary.LittleEndian.Uint64(data), Type: elf.R_X86_64(elf.R_TYPE64(info)),
				Addend: int64(binary.LittleEndian.Uint64(data[16:])),
			}
			if r.Type == elf.R_X86_64_NONE {
				continue
			}
			n := elf.R_SYM64(info)
			if n == 0 || int(n) >= len(d.symbols) {
				return fmt.Errorf("section %s: a relocation by symbol %d of %d", s.Name, n, len(d.symbols))
			}
			if r.Symbol = d.symbols[n]; r.Offset >= target.Size {
				return fmt.Errorf("section %s: a relocation at %#x of %#x bytes", s.Name, r.Offset, target.Size)
			}
			*relocs = append(*relocs, r)
		}
		slices.SortStableFunc(*relocs, byOffset)
	}
	return nil
}

func byOffset(a, b Reloc) int { return cmp.Compare(a.Offset, b.Offset) }

func (d *reader) readGroups() error {
	for _, s := range d.file.Sections {
		if s.Type != elf.SHT_GROUP {
			continue
		}
		data, err := s.Data()
		if err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
		if s.Info == 0 || int(s.Info) >= len(d.symbols) {
			return fmt.Errorf("section %s: its signature is symbol %d of %d", s.Name, s.Info, len(d.symbols))
		}
		for i := 4; i+4 <= len(data); i += 4 { // the first word are flags
			n := binary.LittleEndian.Uint32(data[i:])
			if int(n) >= len(d.sections) {
				return fmt.Errorf("section %s: member %d of %d sections", s.Name, n, len(d.sections))
			}
			if member := d.sections[n]; member != nil {
				member.Group = d.symbols[s.Info].Name
			}
		}
	}
	return nil
}
