// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/kernels"
)

// text is the code of a kernel's image, or of one of its modules.
func text(t testing.TB, kit *kernels.Kit, of string) (all [][]byte) {
	t.Helper()
	var image io.ReaderAt
	if of == "vmlinux" {
		f, err := os.Open(kit.VMLinux)
		require.NoError(t, err)
		defer f.Close()
		image = f
	} else {
		files, _, err := kit.ModuleFiles(of)
		require.NoError(t, err)
		content, err := kernels.ReadModule(files[len(files)-1])
		require.NoError(t, err)
		image = bytes.NewReader(content)
	}
	f, err := elf.NewFile(image)
	require.NoError(t, err)
	for _, s := range f.Sections {
		if s.Type == elf.SHT_PROGBITS && s.Flags&elf.SHF_EXECINSTR != 0 {
			data, err := s.Data()
			require.NoError(t, err)
			all = append(all, data)
		}
	}
	return all
}

// pattern is a function's code, with the bytes that the linker, objtool or the
// booting kernel fill in left open.
type pattern struct {
	code  []byte
	known []bool
}

// least is the length of code that says something, in bytes: shorter functions
// are alike.
const least = 48

// patterns are those of an object's functions, by name.
func patterns(t testing.TB, file string) map[string]pattern {
	t.Helper()
	o, err := object.Open(file)
	require.NoError(t, err)
	open := map[*object.Section]map[uint64]bool{}
	mark := func(s *object.Section, from, n uint64) {
		if open[s] == nil {
			open[s] = map[uint64]bool{}
		}
		for i := range n {
			open[s][from+i] = true
		}
	}
	for _, s := range o.Sections {
		for _, r := range s.Relocs {
			n := uint64(4)
			if r.Type == elf.R_X86_64_64 {
				n = 8
			}
			mark(s, r.Offset, n)
			if r.Symbol.Name == "__fentry__" {
				mark(s, r.Offset-1, 5) // a call, or the no-op that objtool made of it
			}
			// A jump label's place is a jump or a no-op, of two or five bytes.
			if s.Name == "__jump_table" && r.Offset%16 == 0 && r.Symbol.Section != nil {
				mark(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend), 5)
			}
		}
	}
	all := map[string]pattern{}
	for _, sym := range o.Symbols {
		if sym.Type != elf.STT_FUNC || sym.Section == nil || sym.Size < least || strings.HasPrefix(sym.Section.Name, ".init") || strings.HasPrefix(sym.Section.Name, ".exit") {
			continue
		}
		p := pattern{code: sym.Section.Data[sym.Value : sym.Value+sym.Size]}
		for i := range p.code {
			p.known = append(p.known, !open[sym.Section][sym.Value+uint64(i)])
		}
		all[sym.Name] = p
	}
	return all
}

// in says whether the code stands somewhere in text.
func (p pattern) in(text [][]byte) bool {
	// The longest run of known bytes is looked for, and the rest compared
	// around it.
	var from, length int
	for i := 0; i < len(p.code); i++ {
		n := 0
		for i+n < len(p.code) && p.known[i+n] {
			n++
		}
		if n > length {
			from, length = i, n
		}
		i += n
	}
	for _, t := range text {
		for at := 0; ; at++ {
			i := bytes.Index(t[at:], p.code[from:from+length])
			if i < 0 {
				break
			}
			at += i
			if p.at(t, at-from) {
				return true
			}
		}
	}
	return false
}

func (p pattern) at(text []byte, at int) bool {
	if at < 0 || at+len(p.code) > len(text) {
		return false
	}
	for i, b := range p.code {
		if p.known[i] && text[at+i] != b {
			return false
		}
	}
	return true
}

// TestTheKernelsOwnBytes compiles files of each kernel and looks for their
// functions in its image and modules: the flags, the compiler and the source are
// the kernel's if, and only if, the code is there to the byte.
func TestTheKernelsOwnBytes(t *testing.T) {
	for _, kit := range kits(t) {
		t.Run(kit.Release, func(t *testing.T) {
			tr := open(t, kit)
			for _, source := range []string{"fs/proc/cmdline.c", "fs/proc/base.c", "net/core/sock.c", "kernel/fork.c", "mm/mmap.c", "fs/fat/namei_vfat.c"} {
				units, err := tr.Units(t.Context(), source)
				if notBuilt(err) {
					t.Logf("%s: %v", source, err)
					continue
				}
				require.NoError(t, err)
				out, err := tr.Compile(t.Context(), tree.Job{Units: units, AsBuilt: true})
				require.NoError(t, err)
				image := text(t, kit, units[0].Object)
				var missing []string
				all := patterns(t, out[0].Path)
				for name, p := range all {
					if !p.in(image) {
						missing = append(missing, name)
					}
				}
				t.Logf("%s: %d of %d functions; not %v", source, len(all)-len(missing), len(all), missing)
				require.Empty(t, missing, "%s: functions that the kernel does not have", source)
			}
		})
	}
}
