// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

// needHeaders are of cases that are left out where there are none.
var needHeaders = map[string]bool{"contexts": true, "switchyard_contexts.c": true, "undone": true, "vcpu": true}

// samples are all C sources of this repository that run in guests, but
// needHeaders.
func samples(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{
		"../../cases/testdata/*", "../../cases/testdata/*/with/*.c", "../run/warm", "../run/wake",
		"../run/testdata/*", "../run/testdata/*/with/*.c", "testdata/several",
	} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		for _, path := range found {
			if needHeaders[filepath.Base(path)] {
				continue
			}
			if inside, err := filepath.Glob(filepath.Join(path, "*.c")); strings.HasSuffix(path, ".c") || err == nil && len(inside) > 0 {
				all = append(all, path)
			}
		}
	}
	return all
}

func buildBy(t *testing.T, b *patch.Builder, route patch.Route, path string, kit *kernels.Kit) *patch.Module {
	t.Helper()
	by := *b
	by.Route = route
	m, err := build(t, &by, path, kit)
	require.NoError(t, err)
	require.Equal(t, route, m.Manifest.Route)
	return m
}

// TestSamplesBuildFromTheImage: everything that the cases and the harness load
// into guests can be built for kernels without headers.
func TestSamplesBuildFromTheImage(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for _, kit := range kits {
		for _, path := range samples(t) {
			t.Run(kit.Release+"/"+filepath.Base(path), func(t *testing.T) {
				m := buildBy(t, b, patch.RouteBTF, path, kit)
				require.Empty(t, m.Manifest.Warnings)
				require.NoError(t, m.CheckVermagic(kit))
			})
		}
	}
}

// TestRoutesAgree: a module made from the image says of itself what the one by
// kbuild says: the same struct module to the byte, the same tables, the same
// checksums.
func TestRoutesAgree(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for _, kit := range kits {
		for _, path := range []string{"../../cases/testdata/shadow", "testdata/several", "../run/wake"} {
			t.Run(kit.Release+"/"+filepath.Base(path), func(t *testing.T) {
				want, got := buildBy(t, b, patch.RouteKbuild, path, kit), buildBy(t, b, patch.RouteBTF, path, kit)
				require.NotEqual(t, want.Path, got.Path, "the routes share a cache entry")
				require.Equal(t, want.Name, got.Name)
				a, c := want.Manifest, got.Manifest
				a.Route = c.Route
				require.Equal(t, a, c)

				wantELF, gotELF := openELF(t, want.Path), openELF(t, got.Path)
				const module = ".gnu.linkonce.this_module"
				require.Equal(t, content(t, wantELF, module), content(t, gotELF, module))
				require.Equal(t, relocations(t, wantELF, module), relocations(t, gotELF, module))
				require.Equal(t, wantELF.Section(module).Addralign, gotELF.Section(module).Addralign)
				require.Equal(t, string(content(t, wantELF, ".orc_header")), string(content(t, gotELF, ".orc_header")))
				wantCRC, gotCRC := versions(t, wantELF), versions(t, gotELF)
				require.NotEmpty(t, wantCRC["module_layout"])
				for name, crc := range gotCRC {
					if other, both := wantCRC[name]; both {
						require.Equal(t, other, crc, name)
					}
				}
				require.Contains(t, gotCRC, "module_layout")
			})
		}
	}
}

func openELF(t *testing.T, path string) *elf.File {
	t.Helper()
	f, err := elf.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// content is a section's content; nil without one.
func content(t *testing.T, f *elf.File, name string) []byte {
	t.Helper()
	s := f.Section(name)
	if s == nil {
		return nil
	}
	data, err := s.Data()
	require.NoError(t, err)
	return data
}

// relocations are a section's, each as place and symbol.
func relocations(t *testing.T, f *elf.File, name string) (all []string) {
	t.Helper()
	symbols, err := f.Symbols()
	require.NoError(t, err)
	for raw := content(t, f, ".rela"+name); len(raw) >= 24; raw = raw[24:] {
		info := f.ByteOrder.Uint64(raw[8:])
		all = append(all, string(raw[:8])+elf.R_X86_64(elf.R_TYPE64(info)).String()+" "+symbols[elf.R_SYM64(info)-1].Name)
	}
	slices.Sort(all)
	return all
}

// versions reads section __versions: struct modversion_info, 64 bytes each.
func versions(t *testing.T, f *elf.File) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{}
	for raw := content(t, f, "__versions"); len(raw) >= 64; raw = raw[64:] {
		all[strings.TrimRight(string(raw[8:64]), "\x00")] = f.ByteOrder.Uint64(raw)
	}
	return all
}

// TestBuildFromTheImageIsReproducible: as TestBuildIsReproducible, for the
// route without make.
func TestBuildFromTheImageIsReproducible(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	source := filepath.Join(testdata, "hold", "with")
	one := buildBy(t, b, patch.RouteBTF, source, kits[0])
	elsewhere := filepath.Join(t.TempDir(), "with")
	require.NoError(t, os.CopyFS(elsewhere, os.DirFS(source)))
	other, _ := bench(t, t.TempDir())
	two := buildBy(t, other, patch.RouteBTF, elsewhere, kits[0])
	require.NotEqual(t, one.Path, two.Path)
	require.Equal(t, one.SHA256, two.SHA256)
}
