// SPDX-License-Identifier: Apache-2.0

package local

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// copyVMLinux copies a vmlinux without its debug information, which may be
// ten times as big as the kernel and is of no use to QEMU: the sections stay
// in the table, marked to have no content, and a hole stays in the file.
func copyVMLinux(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	holes, marks, err := debugSections(in)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	at := int64(0)
	for _, h := range append(holes, span{info.Size(), info.Size()}) {
		if h.start > at {
			if _, err := io.Copy(io.NewOffsetWriter(out, at), io.NewSectionReader(in, at, h.start-at)); err != nil {
				return err
			}
		}
		at = max(at, h.end)
	}
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	for _, m := range marks {
		if _, err := out.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(elf.SHT_NOBITS)), m); err != nil {
			return err
		}
	}
	return nil
}

// span is a part of a file, in bytes.
type span struct{ start, end int64 }

// debugSections gives the parts of the file that hold debug information, in
// order, and the places in its section table that say what each is.
func debugSections(f io.ReaderAt) (holes []span, marks []int64, err error) {
	file, err := elf.NewFile(f)
	if err != nil {
		return nil, nil, err
	}
	var h elf.Header64
	if err := binary.Read(io.NewSectionReader(f, 0, 64), file.ByteOrder, &h); err != nil {
		return nil, nil, err
	}
	for i, s := range file.Sections {
		// The relocations that --emit-relocs keeps are for the build alone too.
		debug := strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".rela.")
		if !debug || s.Flags&elf.SHF_ALLOC != 0 || s.Type == elf.SHT_NOBITS || s.FileSize == 0 {
			continue
		}
		holes = append(holes, span{int64(s.Offset), int64(s.Offset + s.FileSize)})
		marks = append(marks, int64(h.Shoff)+int64(i)*int64(h.Shentsize)+4) // sh_type
	}
	slices.SortFunc(holes, func(a, b span) int { return int(a.start - b.start) })
	return holes, marks, nil
}
