// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree writes files (path -> content) below a new folder called name.
func tree(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for path, content := range files {
		full := filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return dir
}

// TestOpenRefusesBadInput walks the ways in which a path is no patch.
func TestOpenRefusesBadInput(t *testing.T) {
	for _, c := range []struct {
		name  string
		path  func(t *testing.T) string
		wants string
	}{
		{"missing", func(t *testing.T) string { return filepath.Join(t.TempDir(), "no") }, "no such file or folder"},
		{"empty folder", func(t *testing.T) string { return tree(t, "p", nil) }, "no C source"},
		{"only headers", func(t *testing.T) string { return tree(t, "p", map[string]string{"a.h": ""}) }, "no C source"},
		{"text file", func(t *testing.T) string { return filepath.Join(tree(t, "p", map[string]string{"a.txt": ""}), "a.txt") }, "not a patch"},
		{"probe that is no JSON", func(t *testing.T) string {
			return tree(t, "p", map[string]string{"a.c": "", "probes.json": "{"})
		}, "not a list of probes"},
		{"probe with a typo", func(t *testing.T) string {
			return tree(t, "p", map[string]string{"a.c": "", "probes.json": `[{"raed": "/x"}]`})
		}, "raed"},
		{"probe without after", func(t *testing.T) string {
			return tree(t, "p", map[string]string{"a.c": "", "probes.json": `[{"read": "/x", "before": "a"}]`})
		}, `"after" is missing`},
		{"probe with a bad expression", func(t *testing.T) string {
			return tree(t, "p", map[string]string{"a.c": "", "probes.json": `[{"read": "/x", "before": "(", "after": "b"}]`})
		}, "before"},
		{"bad with", func(t *testing.T) string {
			return tree(t, "p", map[string]string{"a.c": "", "with/readme.txt": ""})
		}, "not a patch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.path(t))
			var input *InputError
			require.ErrorAs(t, err, &input)
			require.Contains(t, err.Error(), c.wants)
		})
	}
}

// TestKbuild: all C files make one module, whatever they are called.
func TestKbuild(t *testing.T) {
	for _, c := range []struct {
		folder string
		files  []string
		wants  string
		module string
	}{
		{"fix", []string{"fix.c"}, "obj-m := fix.o\n", "fix"},
		{"fix", []string{"a.c", "b.c", "sub/c.c"}, "obj-m := fix.o\nfix-y := a.o b.o sub/c.o\n", "fix"},
		{"fix", []string{"main.c"}, "obj-m := fix.o\nfix-y := main.o\n", "fix"},
		// kbuild links NAME-y into NAME.o, so NAME.c cannot be among them.
		{"fix", []string{"a.c", "fix.c"}, "obj-m := fix_patch.o\nfix_patch-y := a.o fix.o\n", "fix_patch"},
		{"cve-2026-1", []string{"a.c"}, "obj-m := cve_2026_1.o\ncve_2026_1-y := a.o\n", "cve_2026_1"},
	} {
		files := map[string]string{}
		for _, f := range c.files {
			files[f] = ""
		}
		s, err := Open(tree(t, c.folder, files))
		require.NoError(t, err)
		text, module := s.kbuild()
		require.Equal(t, c.wants, text)
		require.Equal(t, c.module, module)
	}
}

// TestOpenFolder: with/ is built on its own, an editor's files are not built.
func TestOpenFolder(t *testing.T) {
	s, err := Open(tree(t, "fix", map[string]string{
		"fix.c": "", "fix.h": "", ".fix.c.swp": "", "README": "", "old/.hidden/x.c": "",
		"with/target.c": "", "with/dev/a.c": "", "with/dev/b.c": "",
		"probes.json": `[{"read": "/proc/x", "before": "^old", "after": "^new"}]`,
	}))
	require.NoError(t, err)
	require.Equal(t, []string{"fix.c", "fix.h"}, s.Files)
	require.Len(t, s.With, 2)
	require.Equal(t, "dev", s.With[0].Name)
	require.Equal(t, []string{"a.c", "b.c"}, s.With[0].Files)
	require.Equal(t, []string{"target.c"}, s.With[1].Files)
	require.True(t, s.Probes[0].Old("old text") && !s.Probes[0].Old("new text"))
	require.True(t, s.Probes[0].New("new text") && !s.Probes[0].New("old text"))
}

// TestFirstError picks the line that helps out of make's output.
func TestFirstError(t *testing.T) {
	for log, wants := range map[string]string{
		"  CC [M]  /b/a.o\n/b/a.c: In function 'f':\n/b/a.c:3:2: error: 'x' undeclared\n/b/a.c:9:1: error: second\n": "/b/a.c:3:2: error: 'x' undeclared",
		"/b/a.c:1:10: fatal error: nope.h: No such file or directory\n":                                              "/b/a.c:1:10: fatal error: nope.h: No such file or directory",
		"ERROR: modpost: \"nope\" [/b/a.ko] undefined!\n":                                                            "ERROR: modpost: \"nope\" [/b/a.ko] undefined!",
		"make: *** No rule to make target 'modules'.  Stop.\n":                                                       "make: *** No rule to make target 'modules'.  Stop.",
		"all is well\n": "",
	} {
		require.Equal(t, wants, firstError(log))
	}
	e := &BuildError{Source: "/p", Release: "6.1.0", Log: "one\ntwo\nlast words\n"}
	require.Contains(t, e.Error(), "last words")
	require.True(t, strings.Contains(e.Error(), "2 more lines"))
}
