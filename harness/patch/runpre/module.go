// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/kernels"
)

// A module file is a relocatable object. It is loaded here as a kernel would,
// to an address of its own and against the image and the modules that it
// depends on, so that one comparison does for image and modules.

// Modules lie where the kernel puts them, which every reference can reach.
//
// Source: Documentation/arch/x86/x86_64/mm.rst, "module mapping space".
const (
	modulesFrom = 0xffffffffc0000000
	modulesTo   = 0xfffffffff0000000
	page        = 4096
)

// space is what object puts into the kernel's addresses.
func (im *Image) space(object string) (*space, error) {
	if object == VMLinux {
		return im.vmlinux, nil
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.module(object)
}

// module gives a module with all that it depends on loaded. im.mu is held.
func (im *Image) module(name string) (*space, error) {
	name = moduleName(name)
	if s := im.modules[name]; s != nil {
		return s, nil
	}
	files, builtin, err := im.kit.ModuleFiles(name)
	if err != nil {
		return nil, err
	}
	if len(builtin) > 0 {
		return nil, fmt.Errorf("module %s is part of the image of %s: its object is %s", name, im.kit.Release, VMLinux)
	}
	var needs []*space
	for _, file := range files {
		s := im.modules[moduleName(file)]
		if s == nil {
			ko, err := kernels.ReadModule(file)
			if err != nil {
				return nil, err
			}
			if s, err = im.load(moduleName(file), ko, needs); err != nil {
				return nil, fmt.Errorf("module %s of %s: %w", moduleName(file), im.kit.Release, err)
			}
			im.modules[s.object] = s
		}
		needs = append(needs, s)
	}
	return im.modules[name], nil
}

// moduleName is the name as the kernel has it, from a file's or a user's.
func moduleName(file string) string {
	file = file[strings.LastIndexByte(file, '/')+1:]
	file, _, _ = strings.Cut(file, ".ko")
	return strings.ReplaceAll(file, "-", "_")
}

// load gives a module's content as it is at the next free address. needs are
// the modules whose symbols it may use.
func (im *Image) load(name string, ko []byte, needs []*space) (*space, error) {
	o, err := object.Read(name+".ko", bytes.NewReader(ko))
	if err != nil {
		return nil, err
	}
	address := map[*object.Section]uint64{}
	next := max(im.next, modulesFrom)
	for _, s := range o.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		align := max(s.Align, 16)
		if align > page || align&(align-1) != 0 {
			return nil, fmt.Errorf("section %s is aligned to %d bytes", s.Name, s.Align)
		}
		next = (next + align - 1) &^ (align - 1)
		address[s] = next
		next += s.Size + 16 // so that the end of one is not the beginning of another
		if next > modulesTo {
			return nil, errors.New("the modules are too big to lie beside each other")
		}
	}
	im.next = (next + page - 1) &^ (page - 1)
	l := loader{image: im, address: address, needs: needs, unknown: map[*object.Symbol]uint64{}}
	var segments []segment
	for _, s := range o.Sections {
		if at, ok := address[s]; ok {
			data, err := l.relocate(s)
			if err != nil {
				return nil, err
			}
			segments = append(segments, segment{s.Name, at, s.Size, data})
		}
	}
	var symbols []Symbol
	for _, s := range o.Symbols {
		at, loaded := address[s.Section]
		if loaded && s.Name != "" && s.Type != elf.STT_SECTION {
			symbols = append(symbols, Symbol{Name: s.Name, Kind: kind(s), Address: at + s.Value})
		}
	}
	made := newSpace(name, segments, symbols)
	made.needs = append(slices.Clone(needs), l.nobodys())
	made.exports = moduleExports(o, made)
	return made, nil
}

// kind is the letter that nm shows for s.
func kind(s *object.Symbol) byte {
	letter := byte('d')
	switch {
	case s.Section.Flags&elf.SHF_EXECINSTR != 0:
		letter = 't'
	case s.Section.Type == elf.SHT_NOBITS:
		letter = 'b'
	case s.Section.Flags&elf.SHF_WRITE == 0:
		letter = 'r'
	}
	switch s.Bind {
	case elf.STB_GLOBAL:
		letter -= 'a' - 'A'
	case elf.STB_WEAK:
		letter = 'W'
	}
	return letter
}

// moduleExports are the symbols that other modules may use, by the symbols
// that modpost's tables have.
//
// Source: include/linux/export-internal.h, KSYMTAB_FUNC.
func moduleExports(o *object.Object, s *space) map[string]btf.Export {
	all := map[string]btf.Export{}
	for _, sym := range o.Symbols {
		name, ok := strings.CutPrefix(sym.Name, "__ksymtab_")
		if !ok || sym.Section == nil {
			continue
		}
		for _, i := range s.byName[name] {
			e := btf.Export{Address: s.symbols[i].Address}
			if ns := s.byName["__kstrtabns_"+name]; len(ns) == 1 {
				text, _ := s.stringAt(s.symbols[ns[0]].Address)
				e.Namespace = string(text)
			}
			all[name] = e
		}
	}
	return all
}

// loader relocates one module.
type loader struct {
	image   *Image
	address map[*object.Section]uint64
	needs   []*space
	unknown map[*object.Symbol]uint64
}

// relocate gives the content of a section with its references filled in; nil
// for one without content.
func (l *loader) relocate(s *object.Section) ([]byte, error) {
	if s.Type == elf.SHT_NOBITS {
		return nil, nil
	}
	data := bytes.Clone(s.Data)
	for _, r := range s.Relocs {
		n, relative := width(r.Type)
		if n == 0 || r.Offset+uint64(n) > uint64(len(data)) {
			return nil, fmt.Errorf("section %s+%#x: a relocation of type %v that the kernel would not load", s.Name, r.Offset, r.Type)
		}
		value := l.resolve(r.Symbol) + uint64(r.Addend)
		if relative {
			value -= l.address[s] + r.Offset
		}
		if n == 8 {
			binary.LittleEndian.PutUint64(data[r.Offset:], value)
		} else {
			binary.LittleEndian.PutUint32(data[r.Offset:], uint32(value))
		}
	}
	return data, nil
}

// resolve is the address of a symbol. One that nobody has gets an address
// where nothing is, so that a reference to it is equal to no other's.
func (l *loader) resolve(s *object.Symbol) uint64 {
	switch {
	case s.Section != nil:
		return l.address[s.Section] + s.Value
	case s.Index != elf.SHN_UNDEF:
		return s.Value
	}
	if e, ok := l.image.exports[s.Name]; ok {
		return e.Address
	}
	for _, needed := range l.needs {
		if e, ok := needed.exports[s.Name]; ok {
			return e.Address
		}
	}
	if s.Bind == elf.STB_WEAK {
		return 0
	}
	if _, ok := l.unknown[s]; !ok {
		l.unknown[s] = modulesTo + 16*uint64(len(l.unknown)+1)
	}
	return l.unknown[s]
}

// nobodys are the symbols that were found nowhere, in a space of their own.
func (l *loader) nobodys() *space {
	var all []Symbol
	for s, at := range l.unknown {
		all = append(all, Symbol{Name: s.Name, Kind: 'U', Address: at})
	}
	return newSpace("", nil, all)
}
