// SPDX-License-Identifier: Apache-2.0

package debugger

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// mostNote bounds a kernel's note in bytes; the kernel's own bound is a page.
const mostNote = 64 << 10

// AddVMCoreInfo adds the kernel's own note to a core of a guest's memory: what
// crash and drgn find their way by. It lies in that memory, at the physical
// address and with the size that /sys/kernel/vmcoreinfo tells. (QEMU adds it by
// itself only to a guest with a device for it.)
// Source: Documentation/admin-guide/kdump/vmcoreinfo.rst.
func AddVMCoreInfo(path string, address, size uint64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := addVMCoreInfo(f, address, size); err != nil {
		return fmt.Errorf("memory dump %s: %w", path, err)
	}
	return f.Close()
}

func addVMCoreInfo(f *os.File, address, size uint64) error {
	core, err := elf.NewFile(f)
	if err != nil {
		return err
	}
	if size == 0 || size > mostNote {
		return fmt.Errorf("the kernel says that its note has %d bytes", size)
	}
	note := make([]byte, size)
	at := -1
	var notes *elf.Prog
	for i, p := range core.Progs {
		switch {
		case p.Type == elf.PT_NOTE:
			at, notes = i, p
		case p.Type == elf.PT_LOAD && p.Paddr <= address && address+size <= p.Paddr+p.Filesz:
			if _, err := p.ReadAt(note, int64(address-p.Paddr)); err != nil {
				return err
			}
		}
	}
	if notes == nil {
		return errors.New("it has no notes")
	}
	if note, err = trimNote(note); err != nil {
		return fmt.Errorf("the kernel's note at physical address %#x: %w", address, err)
	}
	old := make([]byte, notes.Filesz)
	if _, err := notes.ReadAt(old, 0); err != nil {
		return err
	}
	// All notes go to the end of the file; their header is told so.
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	end = (end + 7) &^ 7
	all := append(old, note...)
	if _, err := f.WriteAt(all, end); err != nil {
		return err
	}
	var header [24]byte // p_offset is at 8, p_filesz at 32, p_memsz at 40 of Elf64_Phdr
	binary.LittleEndian.PutUint64(header[:8], uint64(end))
	binary.LittleEndian.PutUint64(header[8:], uint64(len(all)))
	binary.LittleEndian.PutUint64(header[16:], uint64(len(all)))
	table, entry, err := programHeaders(f)
	if err != nil {
		return err
	}
	place := table + int64(at)*entry
	if _, err := f.WriteAt(header[:8], place+8); err != nil {
		return err
	}
	_, err = f.WriteAt(header[8:], place+32)
	return err
}

// programHeaders is where they begin, and the size of one.
func programHeaders(r io.ReaderAt) (table, entry int64, err error) {
	var h elf.Header64
	if err := binary.Read(io.NewSectionReader(r, 0, int64(binary.Size(h))), binary.LittleEndian, &h); err != nil {
		return 0, 0, err
	}
	return int64(h.Phoff), int64(h.Phentsize), nil
}

// vmcoreinfo is the name of the note.
const vmcoreinfo = "VMCOREINFO"

// trimNote is the first note in data, without what follows it.
func trimNote(data []byte) ([]byte, error) {
	const header = 12 // n_namesz, n_descsz, n_type
	if len(data) < header {
		return nil, errors.New("it is too short")
	}
	name, desc := uint64(binary.LittleEndian.Uint32(data)), uint64(binary.LittleEndian.Uint32(data[4:]))
	pad := func(n uint64) uint64 { return (n + 3) &^ 3 }
	total := header + pad(name) + pad(desc)
	if total > uint64(len(data)) || !bytes.HasPrefix(data[header:], []byte(vmcoreinfo+"\x00")) {
		return nil, errors.New("it is not one")
	}
	return data[:total], nil
}
