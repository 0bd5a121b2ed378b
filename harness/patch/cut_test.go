// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// TestCut takes every set of functions but all out of a module with several:
// what is left in the tables is the rest, with its own new code, and nothing
// outside of the tables and their relocations is another byte.
func TestCut(t *testing.T) {
	b, kits := bench(t, "")
	for _, kit := range kits {
		t.Run(kit.Release, func(t *testing.T) {
			m, err := build(t, b, "testdata/several", kit)
			require.NoError(t, err)
			whole, err := os.ReadFile(m.Path)
			require.NoError(t, err)
			all := m.Manifest.Functions
			require.Len(t, all, 3)
			for set := range 1 << len(all) {
				var out, left []patch.Function
				for i, f := range all {
					if set>>i&1 == 1 {
						out = append(out, f)
					} else {
						left = append(left, f)
					}
				}
				path := filepath.Join(t.TempDir(), "several.ko")
				err := m.Cut(kit, out, path)
				if len(left) == 0 {
					require.ErrorContains(t, err, "no function would be left")
					continue
				}
				require.NoError(t, err)
				src, err := patch.Open(path)
				require.NoError(t, err)
				cut, err := b.Build(t.Context(), src, kit)
				require.NoError(t, err)
				require.Equal(t, left, cut.Manifest.Functions, "without %v", out)
				require.True(t, cut.Manifest.Replace)
				require.Equal(t, 2*len(out), nothings(t, path)-nothings(t, m.Path), "of each function its name and its new code")
				sameSections(t, whole, path)
			}
		})
	}
}

// nothings counts the relocations that relocate nothing.
func nothings(t *testing.T, path string) (n int) {
	t.Helper()
	f := openELF(t, path)
	for _, s := range f.Sections {
		if s.Type != elf.SHT_RELA {
			continue
		}
		raw, err := s.Data()
		require.NoError(t, err)
		for ; len(raw) >= 24; raw = raw[24:] {
			if elf.R_TYPE64(binary.LittleEndian.Uint64(raw[8:])) == uint32(elf.R_X86_64_NONE) {
				n++
			}
		}
	}
	return n
}

// sameSections holds every section of the module at path but its data and
// their relocations to those of whole.
func sameSections(t *testing.T, whole []byte, path string) {
	t.Helper()
	before, err := elf.NewFile(bytes.NewReader(whole))
	require.NoError(t, err)
	after := openELF(t, path)
	require.Len(t, after.Sections, len(before.Sections))
	for i, s := range before.Sections {
		if s.Name == ".data" || s.Name == ".rela.data" || s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
			continue
		}
		want, err := s.Data()
		require.NoError(t, err)
		got, err := after.Sections[i].Data()
		require.NoError(t, err)
		require.Equal(t, want, got, s.Name)
	}
}
