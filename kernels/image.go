// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// Image is an uncompressed kernel image, opened to be looked at.
type Image struct {
	sections map[string]*elf.Section
	// text is the image's main executable section and textAddr where it was
	// linked to; calls in it are as the linker left them.
	text     []byte
	textAddr uint64
	types    *btf.Spec
}

// OpenImage reads the image of a kit (Kit.VMLinux).
func OpenImage(vmlinux string) (*Image, error) {
	f, err := elf.Open(vmlinux)
	if err != nil {
		return nil, fmt.Errorf("kernel image: %w", err)
	}
	defer f.Close()
	im := &Image{sections: map[string]*elf.Section{}}
	for _, s := range f.Sections {
		im.sections[s.Name] = s
	}
	text, ok := im.sections[".text"]
	if !ok {
		return nil, fmt.Errorf("kernel image %s: it has no section .text", vmlinux)
	}
	if im.text, err = text.Data(); err != nil {
		return nil, fmt.Errorf("kernel image %s: .text: %w", vmlinux, err)
	}
	im.textAddr = text.Addr
	if s, ok := im.sections[".BTF"]; ok && s.Size > 0 {
		raw, err := s.Data()
		if err == nil {
			im.types, err = btf.LoadSpecFromReader(bytes.NewReader(raw))
		}
		if err != nil {
			return nil, fmt.Errorf("kernel image %s: .BTF: %w", vmlinux, err)
		}
	}
	return im, nil
}

// Has says whether the image has a section of that name with something in it.
func (im *Image) Has(section string) bool {
	s, ok := im.sections[section]
	return ok && s.Size > 0
}

// code gives up to n bytes of the image's text at the linked address addr.
func (im *Image) code(addr uint64, n int) []byte {
	if addr < im.textAddr || addr-im.textAddr >= uint64(len(im.text)) {
		return nil
	}
	rest := im.text[addr-im.textAddr:]
	return rest[:min(n, len(rest))]
}

// calls gives the linked addresses of all instructions that call, or jump for
// good, to one of targets.
func (im *Image) calls(targets ...uint64) (from []uint64) {
	const size = 5 // opcode and a distance of 32 bits, from behind it
	for i := 0; i+size <= len(im.text); i++ {
		if op := im.text[i]; op != 0xe8 && op != 0xe9 {
			continue
		}
		to := im.textAddr + uint64(i) + size + uint64(int64(int32(binary.LittleEndian.Uint32(im.text[i+1:]))))
		for _, t := range targets {
			if to == t {
				from = append(from, im.textAddr+uint64(i))
			}
		}
	}
	return from
}

// member says whether the struct called name has a member, by the image's own
// types.
func (im *Image) member(name, member string) (bool, error) {
	if im.types == nil {
		return false, errNoBTF
	}
	var s *btf.Struct
	if err := im.types.TypeByName(name, &s); err != nil {
		return false, nil //nolint:nilerr // a struct that is not there has no members
	}
	for _, m := range s.Members {
		if m.Name == member {
			return true, nil
		}
	}
	return false, nil
}

// parameter is the type of the i-th parameter of the function type called
// name, "struct pt_regs" for a pointer to one.
func (im *Image) parameter(name string, i int) (string, error) {
	if im.types == nil {
		return "", errNoBTF
	}
	var def *btf.Typedef
	if err := im.types.TypeByName(name, &def); err != nil {
		return "", fmt.Errorf("type %s: %w", name, err)
	}
	pointer, ok := btf.UnderlyingType(def).(*btf.Pointer)
	if !ok {
		return "", fmt.Errorf("type %s is no pointer", name)
	}
	proto, ok := pointer.Target.(*btf.FuncProto)
	if !ok || i >= len(proto.Params) {
		return "", fmt.Errorf("type %s is no pointer to a function of %d parameters", name, i+1)
	}
	to, ok := btf.UnderlyingType(proto.Params[i].Type).(*btf.Pointer)
	if !ok {
		return "", fmt.Errorf("parameter %d of %s is no pointer", i, name)
	}
	if s, ok := to.Target.(*btf.Struct); ok {
		return "struct " + s.Name, nil
	}
	return fmt.Sprint(to.Target), nil
}
