// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// tinyModule is the smallest ELF file with a .modinfo section.
func tinyModule(modinfo ...string) []byte {
	info := []byte(strings.Join(modinfo, "\x00") + "\x00")
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	const header = 64
	h := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: header,
		Shoff: uint64(header + len(info) + len(names)), Shentsize: 64, Shnum: 3, Shstrndx: 2}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	put(h)
	b.Write(info)
	b.Write(names)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: header, Size: uint64(len(info))})
	put(elf.Section64{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: uint64(header + len(info)), Size: uint64(len(names))})
	return b.Bytes()
}

// tinyKernel is the smallest ELF file with a note, and some bytes to pack.
func tinyKernel(owner string, kind uint32) []byte {
	name := []byte(owner + "\x00")
	for len(name)%4 != 0 {
		name = append(name, 0)
	}
	var note bytes.Buffer
	_ = binary.Write(&note, binary.LittleEndian, []uint32{3, 4, 1}) // another note first, of odd length
	note.WriteString("GN\x00\x00abcd")
	_ = binary.Write(&note, binary.LittleEndian, []uint32{uint32(len(owner) + 1), 8, kind})
	note.Write(name)
	note.Write(make([]byte, 8))
	const header = 64
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: header,
		Phoff: header, Phentsize: 56, Phnum: 1}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, h)
	_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: header + 56, Filesz: uint64(note.Len()), Memsz: uint64(note.Len())})
	b.Write(note.Bytes())
	b.WriteString(strings.Repeat("the text of the kernel ", 5000))
	return b.Bytes()
}
