// SPDX-License-Identifier: Apache-2.0

// Package btf builds modules for kernels of which only the image is there: the
// compiler and what the image says of itself (types, exported functions and
// their checksums, vermagic, mitigations) are all that it uses.
//
// What lives here: reading an image, our own small linux/ headers, making a
// module out of C without kbuild. What must not: anything that needs a
// kernel's headers or a running guest, and the choice between this route and
// kbuild (package patch).
package btf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// Image is what an image says of itself beside its types.
type Image struct {
	// Vermagic is what modinfo's vermagic must be, byte for byte.
	Vermagic string
	// Exports are the symbols that modules may use.
	Exports map[string]Export
	// CRCs says that the loader compares checksums (CONFIG_MODVERSIONS).
	CRCs bool
	// Endbr says that functions begin with endbr64 (CONFIG_X86_KERNEL_IBT).
	Endbr bool
	// NopMcount says that the fentry sites of the image were no-ops before it
	// booted. The ftrace core then expects them so in modules as well.
	NopMcount bool
	// ReturnThunks and Retpolines say that returns and indirect calls go
	// through thunks whose call sites are listed for the kernel to rewrite.
	ReturnThunks, Retpolines bool
	// ORC says that stacks are unwound by ORC tables, else by frame pointers.
	ORC bool
	// ORCWords is how the tables are written; nil if that could not be learned.
	ORCWords *ORCWords
	// ORCHeader is the content of section .orc_header, which names the format
	// of the tables; 6.1 has none yet.
	ORCHeader []byte
	// BugFromEntry says that the pointers in a struct bug_entry are relative to
	// the entry and not to themselves. BTF tells the two forms not apart.
	BugFromEntry bool
}

// image is an ELF image with its sections at hand.
type image struct {
	file *elf.File
	data map[string][]byte
}

// ReadImage reads the uncompressed kernel image of release.
func ReadImage(file *elf.File, release string) (*Image, error) {
	if file.Type != elf.ET_EXEC || file.Machine != elf.EM_X86_64 || file.ByteOrder != binary.LittleEndian {
		return nil, fmt.Errorf("a %v file for %v, not a kernel image for x86-64", file.Type, file.Machine)
	}
	i := &image{file: file, data: map[string][]byte{}}
	out := &Image{ReturnThunks: i.has(".return_sites"), Retpolines: i.has(".retpoline_sites"), ORC: i.has(".orc_unwind")}
	var err error
	if out.Vermagic, err = findVermagic(i.section(".rodata"), release); err != nil {
		return nil, err
	}
	if out.Exports, out.CRCs, err = i.exports(); err != nil {
		return nil, fmt.Errorf("exported symbols: %w", err)
	}
	if out.ORC {
		out.ORCHeader = i.section(".orc_header")
		out.ORCWords = learnORC(i.section(".orc_unwind"), i.section(".orc_unwind_ip"))
	}
	if out.Endbr, out.NopMcount, err = i.entries(out.Exports); err != nil {
		return nil, err
	}
	out.BugFromEntry = i.bugFromEntry()
	return out, nil
}

func (i *image) has(name string) bool { return i.file.Section(name) != nil }

// section is a section's content; nil without one.
func (i *image) section(name string) []byte {
	data, read := i.data[name]
	if !read {
		if s := i.file.Section(name); s != nil && s.Type == elf.SHT_PROGBITS {
			data, _ = s.Data()
		}
		i.data[name] = data
	}
	return data
}

// at is the content of the image from an address on, up to its section's end;
// nil if nothing is there.
func (i *image) at(address uint64) []byte {
	for _, s := range i.file.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Type == elf.SHT_PROGBITS && s.Addr != 0 && address >= s.Addr && address-s.Addr < s.Size {
			if data := i.section(s.Name); address-s.Addr < uint64(len(data)) {
				return data[address-s.Addr:]
			}
		}
	}
	return nil
}

// findVermagic finds the string that kernel/module compares with a module's:
// the release, a space, and what include/linux/vermagic.h adds to it.
func findVermagic(rodata []byte, release string) (string, error) {
	want := append(append([]byte{0}, release...), ' ')
	for rest := rodata; ; {
		at := bytes.Index(rest, want)
		if at < 0 {
			return "", fmt.Errorf("the image holds no vermagic of %s: was it built without CONFIG_MODULES?", release)
		}
		rest = rest[at+1:]
		end := bytes.IndexByte(rest, 0)
		if end > 0 && end < 256 && bytes.Contains(rest[:end], []byte(" mod_unload ")) || end > 0 && bytes.HasPrefix(rest[len(release):end], []byte(" SMP ")) {
			return string(rest[:end]), nil
		}
	}
}

var (
	endbr64  = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	fiveNops = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}
	call     = []byte{0xe8}
)

// entries looks at how exported functions begin: most of them have a fentry
// site.
func (i *image) entries(exports map[string]Export) (endbr, nop bool, err error) {
	text := i.file.Section(".text")
	if text == nil {
		return false, false, errors.New("the image has no .text")
	}
	var withEndbr, calls, nops, all int
	for _, e := range exports {
		if e.Address < text.Addr || e.Address >= text.Addr+text.Size {
			continue
		}
		code := i.at(e.Address)
		all++
		if after, ok := bytes.CutPrefix(code, endbr64); ok {
			withEndbr++
			code = after
		}
		switch {
		case bytes.HasPrefix(code, call):
			calls++
		case bytes.HasPrefix(code, fiveNops):
			nops++
		}
	}
	if max(calls, nops)*2 < all || all == 0 {
		return false, false, fmt.Errorf("of its %d exported functions %d begin with a call and %d with a no-op, so they have no fentry sites: a kernel without CONFIG_DYNAMIC_FTRACE cannot be live patched", all, calls, nops)
	}
	return withEndbr*2 > all, nops > calls, nil
}

// bugFromEntry looks where the file names of the image's own BUG table are.
// In 5.10's the pointer is relative to the entry, in 6.1's and later ones to
// itself (measured on Debian's images); a name follows the end of another
// string.
func (i *image) bugFromEntry() bool {
	bugs := i.file.Section("__bug_table")
	if bugs == nil {
		return false
	}
	data := i.section("__bug_table")
	const size, file = 12, 4 // with file_disp second, the only form that ever was relative to the entry
	var fromEntry, fromItself int
	for n := 0; n+size <= len(data) && n < 200*size; n += size {
		disp := uint64(int64(int32(binary.LittleEndian.Uint32(data[n+file:]))))
		entry := bugs.Addr + uint64(n)
		for base, hits := range map[uint64]*int{entry: &fromEntry, entry + file: &fromItself} {
			if before := i.at(base + disp - 1); len(before) > 0 && before[0] == 0 {
				*hits++
			}
		}
	}
	return fromEntry > fromItself
}
