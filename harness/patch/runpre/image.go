// SPDX-License-Identifier: Apache-2.0

// Package runpre holds that the kernel that runs was made of the source at
// hand: an object compiled from it must be, byte for byte but for what linker,
// objtool and the booting kernel are known to change, what the kernel's image
// (and its memory) has. The values that the linker filled in tell on the way
// which of several symbols of one name each reference means.
//
// The idea is Ksplice's (Arnold and Kaashoek, EuroSys 2009, section 4).
//
// What lives here: the symbols of an image, the comparison, where symbols
// are. What must not: compiling, what a patch changes, and running guests: who
// can read a guest's memory hands in how.
package runpre

import (
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/kernels"
)

// VMLinux is the object of everything that is no module.
const VMLinux = "vmlinux"

// Image is a kernel's image with its modules. It may be used by several
// goroutines at once.
type Image struct {
	kit     *kernels.Kit
	vmlinux *space
	exports map[string]btf.Export // of vmlinux

	mu      sync.Mutex
	modules map[string]*space
	next    uint64 // where the next module goes
}

// OpenImage reads the image of kit and the table of symbols in it. Modules are
// read when they are asked for.
func OpenImage(kit *kernels.Kit) (*Image, error) {
	f, err := elf.Open(kit.VMLinux)
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s: %w", kit.Release, err)
	}
	defer f.Close()
	im, err := readImage(f)
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s (%s): %w", kit.Release, filepath.Base(kit.VMLinux), err)
	}
	im.kit = kit
	return im, nil
}

// largest is the size in bytes above which a section is not believed.
const largest = 1 << 30

func readImage(f *elf.File) (*Image, error) {
	if f.Class != elf.ELFCLASS64 || f.Machine != elf.EM_X86_64 || f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("not a kernel image for x86-64 (%v, %v, %v)", f.Class, f.Machine, f.Type)
	}
	var segments []segment
	var rodata, text *segment
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS || s.Size == 0 {
			continue
		}
		if s.Size > largest {
			return nil, fmt.Errorf("section %s: a size of %d bytes is not believed", s.Name, s.Size)
		}
		data, err := s.Data()
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", s.Name, err)
		}
		segments = append(segments, segment{s.Name, s.Addr, s.Size, data})
	}
	for i := range segments {
		switch segments[i].name {
		case ".rodata":
			rodata = &segments[i]
		case ".text":
			text = &segments[i]
		}
	}
	if rodata == nil || text == nil {
		return nil, errors.New("it has no .text or no .rodata")
	}
	exports, err := btf.ReadExports(f)
	if err != nil {
		return nil, fmt.Errorf("exported symbols: %w", err)
	}
	known := map[string]uint64{}
	for name, e := range exports {
		known[name] = e.Address
	}
	symbols, err := kallsyms(rodata.data, rodata.address, text.address, known)
	if err != nil {
		return nil, err
	}
	vmlinux := newSpace(VMLinux, segments, symbols)
	vmlinux.exports = exports
	return &Image{vmlinux: vmlinux, exports: exports, modules: map[string]*space{}}, nil
}

// Symbols are all symbols of an object in the order by which a live patch
// counts those of one name.
func (im *Image) Symbols(object string) ([]Symbol, error) {
	s, err := im.space(object)
	if err != nil {
		return nil, err
	}
	return s.symbols, nil
}
