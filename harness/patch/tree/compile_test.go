// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"debug/dwarf"
	"debug/elf"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
)

// read gives a file of the source.
func read(t testing.TB, tr *tree.Tree, name string) string {
	t.Helper()
	text, err := tr.Read(name)
	require.NoError(t, err)
	return string(text)
}

// compile compiles a file with others changed.
func compile(t testing.TB, tr *tree.Tree, source string, overlay map[string][]byte) (tree.Compiled, error) {
	t.Helper()
	units, err := tr.Units(t.Context(), source)
	require.NoError(t, err)
	out, err := tr.Compile(t.Context(), tree.Job{Overlay: overlay, Units: units[:1]})
	return out[0], err
}

// holds says whether an object has a text in it.
func holds(t testing.TB, file, text string) bool {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.Contains(string(content), text)
}

// TestOverlay changes, adds and removes files in every place that a compiler
// finds them by, and looks for what that does to an object. The source itself
// stays as it was.
func TestOverlay(t *testing.T) {
	const cmdline = "fs/proc/cmdline.c"
	for _, kit := range kits(t) {
		tr := open(t, kit)
		source := read(t, tr, cmdline)
		with := func(line string) []byte { return []byte(source + line + "\n") }
		for _, c := range []struct {
			name    string
			overlay map[string][]byte
			want    string
		}{
			{"the file itself", map[string][]byte{cmdline: with(`char *s = "found " __FILE__;`)}, "found fs/proc/cmdline.c"},
			{"beside it", map[string][]byte{
				cmdline: with(`#include "fd.h"` + "\n" + `char *s = FOUND;`), "fs/proc/fd.h": []byte(`#define FOUND "found beside"` + "\n"),
			}, "found beside"},
			{"above it", map[string][]byte{
				cmdline: with(`#include "../internal.h"` + "\n" + `char *s = FOUND;`), "fs/internal.h": []byte(`#define FOUND "found above"` + "\n"),
			}, "found above"},
			{"across", map[string][]byte{
				cmdline: with(`#include "../../kernel/sched/sched-pelt.h"` + "\n" + `char *s = FOUND;`), "kernel/sched/sched-pelt.h": []byte(`#define FOUND "found across"` + "\n"),
			}, "found across"},
			{"of all", map[string][]byte{
				cmdline: with(`char *s = FOUND;`), "include/linux/fs.h": []byte(read(t, tr, "include/linux/fs.h") + `#define FOUND "found in fs.h"` + "\n"),
			}, "found in fs.h"},
			{"new, beside", map[string][]byte{
				cmdline: with(`#include "brand-new.h"`), "fs/proc/brand-new.h": []byte(`char *s = "found new " __FILE__;` + "\n"),
			}, "found new fs/proc/brand-new.h"},
			{"new, above and in a new folder", map[string][]byte{
				cmdline:                     with(`#include "../brand-new.h"` + "\n" + `#include <linux/brand/new.h>` + "\n" + `char *s = FOUND NEW;`),
				"fs/brand-new.h":            []byte(`#define FOUND "found above"` + "\n"),
				"include/linux/brand/new.h": []byte(`#define NEW " and new"` + "\n"),
			}, "found above and new"},
			{"empty", map[string][]byte{cmdline: with(`#include "util.c"` + "\n" + `char *s = "found empty";`), "fs/proc/util.c": {}}, "found empty"},
		} {
			t.Run(kit.Release+"/"+c.name, func(t *testing.T) {
				out, err := compile(t, tr, cmdline, c.overlay)
				require.NoError(t, err)
				assert.True(t, holds(t, out.Path, c.want))
			})
		}
		t.Run(kit.Release+"/removed", func(t *testing.T) {
			_, err := compile(t, tr, cmdline, map[string][]byte{cmdline: with(`#include "internal.h"`), "fs/proc/internal.h": nil})
			var r *refusal.Refusal
			require.ErrorAs(t, err, &r)
			assert.Equal(t, refusal.BuildFailed, r.Code)
			assert.Contains(t, r.Text, "internal.h: No such file or directory")
		})
		assert.Equal(t, source, read(t, tr, cmdline))
	}
}

// TestBuildFailed is about a change that does not compile: where, in the user's
// terms.
func TestBuildFailed(t *testing.T) {
	for _, kit := range kits(t) {
		t.Run(kit.Release, func(t *testing.T) {
			tr := open(t, kit)
			text := read(t, tr, "fs/proc/cmdline.c")
			_, err := compile(t, tr, "fs/proc/cmdline.c", map[string][]byte{"fs/proc/cmdline.c": []byte(text + "int f(void) { return no_such; }\n")})
			var r *refusal.Refusal
			require.ErrorAs(t, err, &r)
			assert.Equal(t, refusal.BuildFailed, r.Code)
			assert.Equal(t, "fs/proc/cmdline.c", r.File)
			assert.Equal(t, strings.Count(text, "\n")+1, r.Line)
			assert.Contains(t, r.Text, "'no_such' undeclared")
		})
	}
}

// TestCompileTwice gives the same object from the cache, and the same bytes
// without; with DWARF the code is the same, and the types are told.
func TestCompileTwice(t *testing.T) {
	kit := kits(t)[0]
	tr := open(t, kit)
	one, err := compile(t, tr, "fs/proc/version.c", nil)
	require.NoError(t, err)
	info, err := os.Stat(one.Path)
	require.NoError(t, err)
	two, err := compile(t, tr, "fs/proc/version.c", nil)
	require.NoError(t, err)
	again, err := os.Stat(two.Path)
	require.NoError(t, err)
	assert.True(t, os.SameFile(info, again))

	d := deps(t)
	d.Store = scratchStore(t, d.Store)
	other, err := tree.Open(t.Context(), d, kit)
	require.NoError(t, err)
	three, err := compile(t, other, "fs/proc/version.c", nil)
	require.NoError(t, err)
	assert.NotEqual(t, one.Path, three.Path)
	assert.Equal(t, content(t, one.Path), content(t, three.Path))

	units, err := tr.Units(t.Context(), "fs/proc/version.c")
	require.NoError(t, err)
	debug, err := tr.Compile(t.Context(), tree.Job{Units: units, Debug: true})
	require.NoError(t, err)
	assert.Equal(t, code(t, one.Path), code(t, debug[0].Path))
	f, err := elf.Open(debug[0].Path)
	require.NoError(t, err)
	defer f.Close()
	types, err := f.DWARF()
	require.NoError(t, err)
	assert.True(t, hasType(t, types, "file"))
}

// code is what an object's functions consist of.
func code(t testing.TB, file string) (all []string) {
	t.Helper()
	o, err := object.Open(file)
	require.NoError(t, err)
	for _, s := range o.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			all = append(all, s.Name+" "+string(s.Data))
		}
	}
	require.NotEmpty(t, all)
	return all
}

func content(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}

// hasType says whether there is a struct of that name.
func hasType(t testing.TB, d *dwarf.Data, name string) bool {
	t.Helper()
	for r := d.Reader(); ; {
		e, err := r.Next()
		require.NoError(t, err)
		if e == nil {
			return false
		}
		if e.Tag == dwarf.TagStructType && e.Val(dwarf.AttrName) == name {
			return true
		}
	}
}
