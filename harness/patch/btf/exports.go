// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// Export is a symbol that modules may use.
type Export struct {
	// CRC is the checksum of its prototype, with CONFIG_MODVERSIONS.
	CRC uint32 `json:",omitempty"`
	// Namespace must be imported by who uses it; "" for most.
	Namespace string `json:",omitempty"`
	// Address is where the image puts it.
	Address uint64 `json:"-"`
}

// ReadExports reads the symbols that the image lets modules use.
func ReadExports(file *elf.File) (map[string]Export, error) {
	all, _, err := (&image{file: file, data: map[string][]byte{}}).exports()
	return all, err
}

// A table of exported symbols is an array of struct kernel_symbol, three
// offsets each relative to itself: value, name, namespace.
//
// Source: include/linux/export-internal.h and kernel/module/internal.h
// (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS, which x86-64 always has; the
// namespace since 5.4).
const symbolSize = 12

// exports reads all tables of the image: one for everybody and one for GPL
// modules, which newer kernels have merged.
func (i *image) exports() (map[string]Export, bool, error) {
	all := map[string]Export{}
	crcs := i.has("__kcrctab")
	for _, kind := range []string{"", "_gpl"} {
		table := i.file.Section("__ksymtab" + kind)
		if table == nil {
			continue
		}
		data := i.section("__ksymtab" + kind)
		sums := i.section("__kcrctab" + kind)
		strings := i.file.Section("__ksymtab_strings")
		if strings == nil {
			return nil, false, errors.New("no __ksymtab_strings")
		}
		found, err := readSymbols(data, table.Addr, i.section("__ksymtab_strings"), strings.Addr)
		if err != nil {
			return nil, false, fmt.Errorf("__ksymtab%s: %w", kind, err)
		}
		if crcs && len(sums) != 4*len(found) {
			return nil, false, fmt.Errorf("%d symbols in __ksymtab%s and %d bytes of checksums", len(found), kind, len(sums))
		}
		for n, s := range found {
			if crcs {
				s.CRC = binary.LittleEndian.Uint32(sums[4*n:])
			}
			all[s.name] = s.Export
		}
	}
	if len(all) == 0 {
		return nil, false, errors.New("none; was it built without CONFIG_MODULES?")
	}
	return all, crcs, nil
}

type symbol struct {
	name string
	Export
}

// readSymbols reads the table that stands at address at, whose strings stand
// at stringsAt.
func readSymbols(table []byte, at uint64, strings []byte, stringsAt uint64) ([]symbol, error) {
	if len(table)%symbolSize != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of entries of %d", len(table), symbolSize)
	}
	all := make([]symbol, 0, len(table)/symbolSize)
	for n := 0; n < len(table); n += symbolSize {
		field := func(offset int) uint64 {
			p := n + offset
			return at + uint64(p) + uint64(int64(int32(binary.LittleEndian.Uint32(table[p:]))))
		}
		name, err := stringAt(strings, field(4)-stringsAt)
		if err != nil || name == "" {
			return nil, fmt.Errorf("entry %d has no name: its form is not known", n/symbolSize)
		}
		s := symbol{name, Export{Address: field(0)}}
		if binary.LittleEndian.Uint32(table[n+8:]) != 0 {
			if s.Namespace, err = stringAt(strings, field(8)-stringsAt); err != nil {
				return nil, fmt.Errorf("namespace of %s: %w", name, err)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func stringAt(strings []byte, offset uint64) (string, error) {
	if offset >= uint64(len(strings)) {
		return "", errors.New("it lies outside of the strings")
	}
	end := bytes.IndexByte(strings[offset:], 0)
	if end < 0 {
		return "", errors.New("it does not end")
	}
	return string(strings[offset : offset+uint64(end)]), nil
}
