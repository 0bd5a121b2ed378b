// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadImage: an image is input from outside; no bytes may make its reader
// panic or run away.
func FuzzReadImage(f *testing.F) {
	f.Add(smallImage())
	f.Add(smallImage()[:200])
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := elf.NewFile(bytes.NewReader(raw))
		if err != nil {
			return
		}
		img, err := ReadImage(file, "6.1.0-t")
		if err == nil && (img.Vermagic == "" || len(img.Exports) == 0) {
			t.Fatal("an image that tells nothing was read without an error")
		}
	})
}

// FuzzReadSymbols: every symbol that is read has a name out of the strings.
func FuzzReadSymbols(f *testing.F) {
	table, strings := symbolTable(0x1000, 0x2000)
	f.Add(table, strings)
	f.Add(table[:13], strings)
	f.Add(table, []byte("x"))
	f.Fuzz(func(t *testing.T, table, strings []byte) {
		found, err := readSymbols(table, 0x1000, strings, 0x2000)
		if err != nil {
			return
		}
		for _, s := range found {
			if s.name == "" || !bytes.Contains(strings, append([]byte(s.name), 0)) {
				t.Fatalf("symbol %q is not among the strings", s.name)
			}
		}
	})
}

// FuzzRewrite: assembly may come out of any inline asm; all of its
// instructions must still be there, in order.
func FuzzRewrite(f *testing.F) {
	for _, text := range []string{"f:\n\t.cfi_startproc\n\tpushq %rbp\n\t.cfi_def_cfa_offset 16\n\t.cfi_offset 6, -16\n\tjmp\t__x86_return_thunk\n\t.cfi_endproc\n", ".cfi_restore_state", "\t.section\n\t.previous\n"} {
		f.Add(text)
	}
	kernel := &Kernel{Image: Image{ORC: true, ORCWords: &ORCWords{Plain: 5, Saved: 21, Framed: 20}, ReturnThunks: true, Retpolines: true}}
	f.Fuzz(func(t *testing.T, text string) {
		out, _ := kernel.rewrite(text)
		rest := out
		for line := range strings.Lines(text) {
			if directive.MatchString(line) {
				continue
			}
			at := strings.Index(rest, line)
			if at < 0 {
				t.Fatalf("%q is gone, or in another place", line)
			}
			rest = rest[at+len(line):]
		}
	})
}

// symbolTable holds one symbol, to_come in no namespace and with_space in one.
func symbolTable(at, stringsAt uint32) (table, names []byte) {
	names = []byte("to_come\x00with_space\x00SPACE\x00")
	for n, s := range [][3]uint32{{0x500, 0, 0}, {0x510, 8, 19}} {
		base := at + uint32(n)*symbolSize
		fields := []uint32{s[0] - base, stringsAt + s[1] - (base + 4), 0}
		if s[2] != 0 {
			fields[2] = stringsAt + s[2] - (base + 8)
		}
		for _, v := range fields {
			table = binary.LittleEndian.AppendUint32(table, v)
		}
	}
	return table, names
}

func TestReadSymbols(t *testing.T) {
	table, names := symbolTable(0x1000, 0x2000)
	found, err := readSymbols(table, 0x1000, names, 0x2000)
	require.NoError(t, err)
	require.Equal(t, []symbol{
		{"to_come", Export{Address: 0x500}},
		{"with_space", Export{Namespace: "SPACE", Address: 0x510}},
	}, found)
	for _, damaged := range []struct{ table, names []byte }{
		{table[:len(table)-1], names}, {table, names[:3]}, {table, nil}, {bytes.Repeat([]byte{0xff}, symbolSize), names},
	} {
		_, err := readSymbols(damaged.table, 0x1000, damaged.names, 0x2000)
		require.Error(t, err)
	}
}

// smallImage is a kernel image with one exported function and nothing else.
func smallImage() []byte {
	const text, rodata, table, names = 0x500, 0x800, 0x1000, 0x2000
	symbols, strings := symbolTable(table, names)
	code := append(append([]byte{}, endbr64...), fiveNops...)
	code = append(append(code, bytes.Repeat([]byte{0x90}, 7)...), code...)
	sections := []struct {
		name    string
		address uint64
		content []byte
	}{
		{".text", text, code},
		{".rodata", rodata, []byte("\x006.1.0-t (builder)\x006.1.0-t SMP preempt mod_unload \x00")},
		{"__ksymtab", table, symbols},
		{"__ksymtab_strings", names, strings},
		{"__kcrctab", 0x3000, []byte{1, 0, 0, 0, 2, 0, 0, 0}},
		{".shstrtab", 0, nil},
	}
	shstrtab := []byte{0}
	headers := []elf.Section64{{}}
	var body []byte
	const ehsize = 64
	for _, s := range sections {
		h := elf.Section64{Name: uint32(len(shstrtab)), Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addr: s.address}
		shstrtab = append(append(shstrtab, s.name...), 0)
		if s.name == ".shstrtab" {
			h.Type, h.Flags, s.content = uint32(elf.SHT_STRTAB), 0, shstrtab
		}
		h.Off, h.Size = ehsize+uint64(len(body)), uint64(len(s.content))
		body = append(body, s.content...)
		headers = append(headers, h)
	}
	var out bytes.Buffer
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: ehsize + uint64(len(body)), Ehsize: ehsize, Shentsize: 64, Shnum: uint16(len(headers)), Shstrndx: uint16(len(headers) - 1)}
	copy(header.Ident[:], "\x7fELF\x02\x01\x01")
	for _, part := range []any{header, body, headers} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			panic(err)
		}
	}
	return out.Bytes()
}

func TestReadImage(t *testing.T) {
	file, err := elf.NewFile(bytes.NewReader(smallImage()))
	require.NoError(t, err)
	img, err := ReadImage(file, "6.1.0-t")
	require.NoError(t, err)
	require.Equal(t, "6.1.0-t SMP preempt mod_unload ", img.Vermagic)
	require.Equal(t, uint32(2), img.Exports["with_space"].CRC)
	require.True(t, img.CRCs)
	require.True(t, img.Endbr)
	require.True(t, img.NopMcount)
	require.False(t, img.ORC)

	_, err = ReadImage(file, "6.2.0")
	require.ErrorContains(t, err, "no vermagic of 6.2.0")
}
