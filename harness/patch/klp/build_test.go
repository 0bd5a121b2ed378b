// SPDX-License-Identifier: Apache-2.0

package klp_test

import (
	"bytes"
	"context"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// module is a live patch of /proc/cmdline.
func module(t testing.TB, k *kernels.Kit) klp.Module {
	t.Helper()
	code := compile(t, k, "testdata/cmdline.c")
	return klp.Module{Name: "klp_image", Parts: []klp.Part{{
		Object: klp.VMLinux, Code: code, Symbols: unexported(t, k, code, klp.VMLinux),
		Functions: []klp.Function{{Old: "cmdline_proc_show", New: "cmdline_proc_show"}},
	}}}
}

// own are deps with a cache of the test's own for what is built.
func own(t testing.TB) klp.Deps {
	t.Helper()
	d := deps(t)
	st, err := store.Open(t.TempDir())
	require.NoError(t, err)
	d.Store = st
	return d
}

// TestBuild: the same input gives the same bytes in another cache, the parts
// stay as they were, and nothing is compiled that was.
func TestBuild(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		m := module(t, k)
		var before, after bytes.Buffer
		require.NoError(t, m.Parts[0].Code.Write(&before))
		d := own(t)
		one, err := klp.Build(t.Context(), d, k, m)
		require.NoError(t, err)
		require.NoError(t, m.Parts[0].Code.Write(&after))
		require.Equal(t, before.Bytes(), after.Bytes(), "the part was written to")

		two, err := klp.Build(t.Context(), own(t), k, m)
		require.NoError(t, err)
		a, err := os.ReadFile(one)
		require.NoError(t, err)
		b, err := os.ReadFile(two)
		require.NoError(t, err)
		require.Equal(t, a, b)

		root := d.Root
		d.Root = nil // whoever calls it panics
		again, err := klp.Build(t.Context(), d, k, m)
		require.NoError(t, err)
		require.Equal(t, one, again)
		d.Root = root

		// What is unwound, and what the kernel rewrites, is listed.
		f, err := elf.Open(one)
		require.NoError(t, err)
		defer f.Close()
		listed := []string{"__ex_table", "__jump_table", ".static_call_sites"}
		if k.Can(kernels.ORC) {
			listed = append(listed, ".orc_unwind_ip")
		}
		for _, name := range listed {
			require.NotNil(t, f.Section(name), name)
		}
		for _, s := range f.Sections {
			if s.Flags&object.RelaLivepatch == 0 {
				continue
			}
			require.Equal(t, elf.SHT_RELA, s.Type)
			require.NotZero(t, s.Flags&elf.SHF_ALLOC, s.Name)
			require.Equal(t, elf.SHT_SYMTAB, f.Sections[s.Link].Type)
			require.True(t, strings.HasSuffix(s.Name, f.Sections[s.Info].Name), s.Name)
		}
	})
}

// TestBadInput: what cannot be built leaves neither a module nor a folder.
func TestBadInput(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		broken := filepath.Join(t.TempDir(), "fix.klp.c")
		require.NoError(t, os.WriteFile(broken, []byte("void klp_post_patch(struct klp_object *obj)\n{\n\tnowhere();\n}\n"), 0o644))
		wrong := filepath.Join(t.TempDir(), "fix.klp.c")
		require.NoError(t, os.WriteFile(wrong, []byte("int klp_post_patch(struct klp_object *obj)\n{\n\treturn 0;\n}\n"), 0o644))
		for _, c := range []struct {
			name   string
			change func(*klp.Module)
			want   string
			code   refusal.Code
		}{
			{"unknown symbol", func(m *klp.Module) { m.Parts[0].Symbols = nil }, "saved_command_line", ""},
			{"no such function", func(m *klp.Module) { m.Parts[0].Functions[0].New = "nowhere" }, "nowhere", ""},
			{"module's name", func(m *klp.Module) { m.Name = "a-b" }, "a-b", ""},
			{"function's name", func(m *klp.Module) { m.Parts[0].Functions[0].Old = "a\", 1" }, "a\\\"", ""},
			{"nothing", func(m *klp.Module) { m.Parts = nil }, "nothing", ""},
			{"callbacks that do not compile", func(m *klp.Module) { m.Callbacks = []string{broken} }, broken + ":3: ", refusal.BuildFailed},
			{"callbacks of another type", func(m *klp.Module) { m.Callbacks = []string{wrong} }, wrong + ":1: ", refusal.BuildFailed},
		} {
			t.Run(c.name, func(t *testing.T) {
				m := module(t, k)
				c.change(&m)
				d := own(t)
				_, err := klp.Build(t.Context(), d, k, m)
				require.ErrorContains(t, err, c.want)
				if c.code != "" {
					var refused *refusal.Refusal
					require.ErrorAs(t, err, &refused)
					require.Equal(t, c.code, refused.Code)
				}
				for _, kind := range []string{"modules", "tmp"} {
					left, err := os.ReadDir(filepath.Join(d.Store.Dir, kind))
					if err == nil {
						require.Empty(t, left, kind)
					}
				}
			})
		}
	})
}

// TestCancelled: a build that is given up says so.
func TestCancelled(t *testing.T) {
	eachKernel(t, func(t *testing.T, k *kernels.Kit) {
		m := module(t, k)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := klp.Build(ctx, own(t), k, m)
		require.ErrorIs(t, err, context.Canceled)
	})
}
