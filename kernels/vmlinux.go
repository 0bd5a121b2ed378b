// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/u-root/u-root/pkg/boot/bzimage"
	"github.com/ulikunitz/xz/lzma"
	"github.com/xi2/xz"
)

// ExtractVMLinux writes the uncompressed ELF image that the kernel image
// bzImage holds to the new file vmlinux, and makes sure that it can be started
// directly (HasPVHNote).
func ExtractVMLinux(bzImage, vmlinux string) error {
	ok, err := UnpackVMLinux(bzImage, vmlinux)
	if err != nil {
		return err
	}
	if !ok {
		os.Remove(vmlinux)
		return fmt.Errorf("extract vmlinux from %s: the kernel has no PVH entry (CONFIG_PVH=y), so QEMU cannot start it directly; take a kernel with it", bzImage)
	}
	return nil
}

// UnpackVMLinux writes the uncompressed ELF image that the kernel image
// bzImage holds to the new file vmlinux; pvh says whether it can be started
// directly (HasPVHNote).
//
// The header's layout is u-root's. Its UnmarshalBinary is not used: it keeps
// four copies of everything in memory, more than a host process of ours may
// have, and prints a warning about signed images, which Debian's are.
func UnpackVMLinux(bzImage, vmlinux string) (pvh bool, err error) {
	f, err := os.Open(bzImage)
	if err != nil {
		return false, fmt.Errorf("extract vmlinux: %w", err)
	}
	defer f.Close()
	payload, size, err := findPayload(f)
	if err != nil {
		return false, fmt.Errorf("extract vmlinux from %s: %w", bzImage, err)
	}
	out, err := os.OpenFile(vmlinux, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return false, fmt.Errorf("extract vmlinux: %w", err)
	}
	defer func() {
		err = errors.Join(err, out.Close())
		if err != nil {
			os.Remove(vmlinux)
		}
	}()
	if err := unpackPayload(out, payload, size); err != nil {
		return false, fmt.Errorf("extract vmlinux from %s: %w", bzImage, err)
	}
	if pvh, err = HasPVHNote(out); err != nil {
		return false, fmt.Errorf("extract vmlinux from %s: %w", bzImage, err)
	}
	return pvh, nil
}

// findPayload gives the compressed kernel inside a bzImage and the size it
// unpacks to, which the build writes behind it.
//
// Source: Documentation/arch/x86/boot.rst, payload_offset and payload_length.
func findPayload(f io.ReaderAt) (payload *io.SectionReader, size uint32, err error) {
	var h bzimage.LinuxHeader
	if err := binary.Read(io.NewSectionReader(f, 0, 1<<20), binary.LittleEndian, &h); err != nil {
		return nil, 0, fmt.Errorf("it is too short for a kernel image: %w", err)
	}
	if h.HeaderMagic != bzimage.HeaderMagic {
		return nil, 0, errors.New("it is no kernel image: the header magic is missing")
	}
	if h.Protocolversion < 0x0208 {
		return nil, 0, fmt.Errorf("boot protocol %#x is older than 2.08 and does not say where the kernel is", h.Protocolversion)
	}
	sectors := int64(h.SetupSects)
	if sectors == 0 {
		sectors = 4 // boot.rst: for backwards compatibility
	}
	start, length := (sectors+1)*512+int64(h.PayloadOffset), int64(h.PayloadSize)
	if length < 8 {
		return nil, 0, errors.New("its payload is empty")
	}
	var tail [4]byte
	if _, err := f.ReadAt(tail[:], start+length-4); err != nil {
		return nil, 0, fmt.Errorf("it is truncated: %w", err)
	}
	return io.NewSectionReader(f, start, length), binary.LittleEndian.Uint32(tail[:]), nil
}

// maxVMLinux bounds what a kernel image may unpack to, in bytes.
const maxVMLinux = 1 << 30

// unpackPayload writes the payload's content, which must have size bytes.
//
// Sources: scripts/Makefile.lib of the kernel for how each is packed; every
// format but gzip has its size appended.
func unpackPayload(w io.Writer, payload *io.SectionReader, size uint32) error {
	if size > maxVMLinux {
		return fmt.Errorf("it claims to unpack to %d MiB", size>>20)
	}
	magic := make([]byte, 6)
	if _, err := payload.ReadAt(magic, 0); err != nil {
		return err
	}
	body := io.NewSectionReader(payload, 0, payload.Size()-4)
	var r io.Reader
	var err error
	switch {
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return unpackZstd(w, body, size)
	case bytes.HasPrefix(magic, []byte{0x02, 0x21, 0x4c, 0x18}):
		r = lz4.NewReader(body)
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		r, err = xz.NewReader(body, 0)
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(payload)
	case bytes.HasPrefix(magic, []byte("BZh")):
		r = bzip2.NewReader(body)
	case bytes.HasPrefix(magic, []byte{0x5d, 0, 0}):
		r, err = lzma.NewReader(body)
	default:
		return fmt.Errorf("its payload is packed in a way not known here (it begins with % x)", magic)
	}
	if err != nil {
		return fmt.Errorf("unpack payload: %w", err)
	}
	n, err := io.Copy(w, io.LimitReader(r, int64(size)+1))
	if err != nil {
		return fmt.Errorf("unpack payload: %w", err)
	}
	if n != int64(size) {
		return fmt.Errorf("its payload has %d bytes and should have %d: the file is damaged", n, size)
	}
	return nil
}

// unpackZstd unpacks in one piece: the kernel is packed with a window of
// 128 MiB, and a streaming decoder would allocate all of that and more, where
// this needs the kernel's own size.
func unpackZstd(w io.Writer, body io.Reader, size uint32) error {
	packed, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxVMLinux), zstd.WithDecoderMaxWindow(maxVMLinux/2))
	if err != nil {
		return fmt.Errorf("unpack payload: %w", err)
	}
	defer d.Close()
	// A little more than needed: without room for one more block the decoder
	// would copy everything to a bigger buffer.
	kernel, err := d.DecodeAll(packed, make([]byte, 0, int(size)+1<<18))
	if err != nil {
		return fmt.Errorf("unpack payload: %w", err)
	}
	if uint32(len(kernel)) != size {
		return fmt.Errorf("its payload has %d bytes and should have %d: the file is damaged", len(kernel), size)
	}
	_, err = w.Write(kernel)
	return err
}

// xenElfnotePhys32Entry is the type of the note, owned by "Xen", that holds
// the address of the PVH entry point.
//
// Source: include/xen/interface/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
const xenElfnotePhys32Entry = 18

// HasPVHNote says whether an ELF kernel has the note that QEMU's -kernel
// looks for to start it directly.
func HasPVHNote(vmlinux io.ReaderAt) (bool, error) {
	f, err := elf.NewFile(vmlinux)
	if err != nil {
		return false, fmt.Errorf("the kernel is no ELF file: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes, err := io.ReadAll(io.LimitReader(p.Open(), 1<<20))
		if err != nil {
			return false, fmt.Errorf("the kernel's notes: %w", err)
		}
		if hasNote(notes, f.ByteOrder, "Xen", xenElfnotePhys32Entry) {
			return true, nil
		}
	}
	return false, nil
}

// hasNote walks ELF notes: sizes of name and descriptor, type, then both,
// each padded to four bytes.
func hasNote(notes []byte, order binary.ByteOrder, owner string, kind uint32) bool {
	pad := func(n uint32) uint64 { return (uint64(n) + 3) &^ 3 }
	for len(notes) >= 12 {
		nameSize, descSize, typ := order.Uint32(notes), order.Uint32(notes[4:]), order.Uint32(notes[8:])
		notes = notes[12:]
		if pad(nameSize)+pad(descSize) > uint64(len(notes)) {
			return false
		}
		if typ == kind && string(bytes.TrimRight(notes[:nameSize], "\x00")) == owner {
			return true
		}
		notes = notes[pad(nameSize)+pad(descSize):]
	}
	return false
}
