// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// tables is the content of a module's klp_patch.
type tables struct {
	replace   bool
	functions []Function
	places    []place // of the functions' entries
}

// maxEntries bounds a table: a module is input from outside.
const maxEntries = 1 << 14

// place is an address in a relocatable file: a section and an offset in it.
type place struct {
	section elf.SectionIndex
	offset  uint64
}

// pointer is what a relocation makes of a pointer-sized slot.
type pointer struct {
	to     place
	symbol string // the symbol's name, "" for a section symbol
}

// object is a relocatable ELF file with its 64-bit pointers by place.
type object struct {
	file     *elf.File
	symbols  []elf.Symbol // without the null symbol: index i is symbol i+1
	pointers map[place]pointer
	data     map[elf.SectionIndex][]byte
}

// readTables finds the struct klp_patch in a module's file (the slot that
// points to __this_module with one behind it that points to the objects) and
// walks its tables. nil: there is none.
func readTables(ko []byte, l *layout) (*tables, error) {
	o, err := readObject(ko)
	if err != nil {
		return nil, err
	}
	for at, p := range o.pointers {
		if p.symbol != "__this_module" || at.offset < l.patch.mod {
			continue
		}
		patch := place{at.section, at.offset - l.patch.mod}
		objs, ok := o.pointers[patch.plus(l.patch.objs)]
		if !ok {
			continue
		}
		if t := o.walk(patch, objs.to, l); t != nil {
			return t, nil
		}
	}
	return nil, nil
}

func (p place) plus(n uint64) place { return place{p.section, p.offset + n} }

// walk reads the tables; nil when objs is no table of klp_object (another
// struct of the module, file_operations for one, begins with an owner too).
func (o *object) walk(patch, objs place, l *layout) *tables {
	t := &tables{replace: o.byteAt(patch.plus(l.patch.replace)) == 1}
	for i := range uint64(maxEntries) {
		obj := objs.plus(i * l.obj.size)
		funcs, ok := o.pointers[obj.plus(l.obj.funcs)]
		if !ok {
			break
		}
		name := "vmlinux" // a klp_object without a name
		if p, ok := o.pointers[obj.plus(l.obj.name)]; ok {
			name = o.stringAt(p.to)
		}
		for j := range uint64(maxEntries) {
			fn := funcs.to.plus(j * l.fn.size)
			old, hasName := o.pointers[fn.plus(l.fn.oldName)]
			if !hasName {
				break
			}
			f := Function{Object: name, Name: o.stringAt(old.to), Sympos: o.wordAt(fn.plus(l.fn.sympos))}
			if repl, ok := o.pointers[fn.plus(l.fn.newFunc)]; ok {
				f.NewName = o.functionAt(repl)
			}
			if f.Name == "" {
				return nil
			}
			t.functions, t.places = append(t.functions, f), append(t.places, fn)
		}
	}
	if len(t.functions) == 0 {
		return nil
	}
	return t
}

func readObject(ko []byte) (*object, error) {
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		return nil, err
	}
	if f.Type != elf.ET_REL || f.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("a %v file for %v, not a module for x86-64", f.Type, f.Machine)
	}
	o := &object{file: f, pointers: map[place]pointer{}, data: map[elf.SectionIndex][]byte{}}
	if o.symbols, err = f.Symbols(); err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return nil, err
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA || int(s.Info) >= len(f.Sections) || f.Sections[s.Info].Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		raw, err := s.Data()
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", s.Name, err)
		}
		o.addPointers(elf.SectionIndex(s.Info), raw)
	}
	return o, nil
}

// addPointers takes the R_X86_64_64 entries of one relocation section.
func (o *object) addPointers(target elf.SectionIndex, raw []byte) {
	const size = 24 // Elf64_Rela
	for ; len(raw) >= size; raw = raw[size:] {
		info := binary.LittleEndian.Uint64(raw[8:])
		index := elf.R_SYM64(info)
		if elf.R_X86_64(elf.R_TYPE64(info)) != elf.R_X86_64_64 || index == 0 || int(index) > len(o.symbols) {
			continue
		}
		sym := o.symbols[index-1]
		at := place{target, binary.LittleEndian.Uint64(raw)}
		o.pointers[at] = pointer{place{sym.Section, sym.Value + binary.LittleEndian.Uint64(raw[16:])}, sym.Name}
	}
}

// bytesAt is the rest of p's section from p on; nil outside of it.
func (o *object) bytesAt(p place) []byte {
	data, read := o.data[p.section]
	if !read && int(p.section) < len(o.file.Sections) {
		if s := o.file.Sections[p.section]; s.Type == elf.SHT_PROGBITS {
			data, _ = s.Data()
		}
		o.data[p.section] = data
	}
	if p.offset >= uint64(len(data)) {
		return nil
	}
	return data[p.offset:]
}

func (o *object) byteAt(p place) byte {
	if b := o.bytesAt(p); len(b) > 0 {
		return b[0]
	}
	return 0
}

func (o *object) wordAt(p place) uint64 {
	if b := o.bytesAt(p); len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// stringAt is the C string at p, "" if there is none.
func (o *object) stringAt(p place) string {
	b := o.bytesAt(p)
	if n := bytes.IndexByte(b, 0); n > 0 {
		return string(b[:n])
	}
	return ""
}

// functionAt is the name of the function that p points to.
func (o *object) functionAt(p pointer) string {
	if p.symbol != "" {
		return p.symbol
	}
	for _, s := range o.symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Section == p.to.section && s.Value == p.to.offset {
			return s.Name
		}
	}
	return ""
}
