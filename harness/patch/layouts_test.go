// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	image "github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// TestHeadersAgree: the constants of our headers are the kernel's.
func TestHeadersAgree(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for _, kit := range kits {
		t.Run(kit.Release, func(t *testing.T) {
			want := buildBy(t, b, patch.RouteKbuild, "testdata/constants", kit)
			got := buildBy(t, b, patch.RouteBTF, "testdata/constants", kit)
			for _, name := range []string{"constants", "shapes"} {
				require.Equal(t, words(t, want.Path, name), words(t, got.Path, name), name)
			}
		})
	}
}

// words is the content of an array of unsigned long.
func words(t *testing.T, path, name string) (all []uint64) {
	t.Helper()
	f := openELF(t, path)
	symbols, err := f.Symbols()
	require.NoError(t, err)
	for _, s := range symbols {
		if s.Name == name {
			data, err := f.Sections[s.Section].Data()
			require.NoError(t, err)
			for i := s.Value; i < s.Value+s.Size; i += 8 {
				all = append(all, f.ByteOrder.Uint64(data[i:]))
			}
		}
	}
	require.NotEmpty(t, all, name)
	return all
}

// TestEveryLayout: each struct and union of the image has, in the C header
// that is made of it, the size and the offsets that its BTF gives.
func TestEveryLayout(t *testing.T) {
	b, kits := bench(t, "")
	for _, kit := range kits {
		t.Run(kit.Release, func(t *testing.T) {
			kernel, err := image.Open(t.Context(), b.Store, b.Root, kit)
			require.NoError(t, err)
			text, n := assertions(t, kit.VMLinux, kernel.Types.Twice)
			require.Greater(t, n, 5000)
			work := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(work, "t.c"), []byte(text), 0o644))
			root, err := b.Root(t.Context())
			require.NoError(t, err)
			var log bytes.Buffer
			err = root.Run(t.Context(), toolroot.Job{
				Argv:   []string{"gcc-14", "-std=gnu11", "-fms-extensions", "-w", "-fsyntax-only", "/build/t.c"},
				Stdout: &log, Stderr: &log,
				Mounts: []toolroot.Bind{{Host: work, Inside: "/build"}, {Host: filepath.Join(kernel.Dir, "include"), Inside: "/include"}},
			})
			require.NoError(t, err, log.String())
		})
	}
}

// assertions writes what BTF says as C, and counts the types.
func assertions(t *testing.T, vmlinux string, twice map[string]bool) (string, int) {
	t.Helper()
	f, err := elf.Open(vmlinux)
	require.NoError(t, err)
	defer f.Close()
	raw, err := f.Section(".BTF").Data()
	require.NoError(t, err)
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	require.NoError(t, err)
	var out strings.Builder
	out.WriteString("#define BPF_NO_KFUNC_PROTOTYPES\n#define BPF_NO_PRESERVE_ACCESS_INDEX\n#include \"/include/switchyard/types.h\"\n")
	n := 0
	check := func(tag, name string, size uint32, members []btf.Member) {
		if name == "" || twice[name] {
			return
		}
		n++
		fmt.Fprintf(&out, "_Static_assert(sizeof(%s %s) == %d, \"\");\n", tag, name, size)
		for _, m := range members {
			if m.Name != "" && m.BitfieldSize == 0 {
				fmt.Fprintf(&out, "_Static_assert(__builtin_offsetof(%s %s, %s) == %d, \"\");\n", tag, name, m.Name, m.Offset.Bytes())
			}
		}
	}
	for typ, err := range spec.All() {
		require.NoError(t, err)
		switch typ := typ.(type) {
		case *btf.Struct:
			check("struct", typ.Name, typ.Size, typ.Members)
		case *btf.Union:
			check("union", typ.Name, typ.Size, typ.Members)
		}
	}
	return out.String(), n
}
