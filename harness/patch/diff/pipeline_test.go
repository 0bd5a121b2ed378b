// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
	"github.com/switchyard-project/switchyard/kernels"
)

// fakeSource is a source of a few files of which nothing is compiled.
type fakeSource struct {
	files    map[string]string
	units    map[string]string // object by source
	includes map[string][]string
	mu       sync.Mutex
	compiled []tree.Job // without the change first
}

var errCompiled = errors.New("as far as this goes")

func (s *fakeSource) Read(name string) ([]byte, error) {
	text, ok := s.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (s *fakeSource) Units(_ context.Context, source string) ([]tree.Unit, error) {
	if object := s.units[source]; object != "" && strings.HasSuffix(source, ".c") {
		return []tree.Unit{{Source: source, Object: object, Out: strings.TrimSuffix(source, ".c") + ".o"}}, nil
	}
	return nil, &refusal.Refusal{Code: refusal.NotBuilt, File: source, Text: "this kernel is not built from it"}
}

func (s *fakeSource) Including(ctx context.Context, header string, sources []string, limit int) (units []tree.Unit, err error) {
	for _, f := range sources {
		if found, err := s.Units(ctx, f); err == nil {
			units = append(units, found...)
		}
	}
	if len(units) > limit {
		return nil, &refusal.Refusal{Code: refusal.TooMany, File: header, Text: fmt.Sprint(len(units))}
	}
	return units, nil
}

func (s *fakeSource) Includers(ctx context.Context, header string, limit int) ([]tree.Unit, error) {
	return s.Including(ctx, header, s.includes[header], limit)
}

func (s *fakeSource) Reach(_ context.Context, header string) ([]string, error) {
	return s.includes[header], nil
}

func (s *fakeSource) Assembly(_ context.Context, files []string) (sources []string, err error) {
	for _, f := range files {
		if s.units[f] != "" && strings.HasSuffix(f, ".S") {
			sources = append(sources, f)
		}
	}
	slices.Sort(sources)
	return sources, nil
}

// Preprocess knows one macro, N of include/h.h, and no file with an #error.
func (s *fakeSource) Preprocess(_ context.Context, sources []string, overlay map[string][]byte) (texts []string, err error) {
	h, changed := overlay["include/h.h"]
	if !changed {
		h = []byte(s.files["include/h.h"])
	}
	_, value, _ := strings.Cut(string(h), "#define N ")
	value, _, _ = strings.Cut(value, "\n")
	for _, f := range sources {
		text := strings.ReplaceAll(s.files[f], " N", " "+value)
		if strings.Contains(text, "#error") {
			text = ""
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func (s *fakeSource) Compile(_ context.Context, j tree.Job) ([]tree.Compiled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.Overlay == nil {
		s.compiled = slices.Insert(s.compiled, 0, j)
		return make([]tree.Compiled, len(j.Units)), nil
	}
	s.compiled = append(s.compiled, j)
	return nil, errCompiled
}

// replace is a diff that replaces one line of a file by another.
func replace(name, text, old, new string) string {
	lines := strings.SplitAfter(text, "\n")
	var s strings.Builder
	fmt.Fprintf(&s, "--- a/%s\n+++ b/%s\n@@ -1,%d +1,%d @@\n", name, name, len(lines)-1, len(lines)-1)
	for _, l := range lines[:len(lines)-1] {
		if l == old+"\n" {
			fmt.Fprintf(&s, "-%s+%s\n", l, new)
		} else {
			s.WriteString(" " + l)
		}
	}
	return s.String()
}

func pipelineOf(t *testing.T, s *fakeSource, diffs ...string) *pipeline {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(config, []byte("CONFIG_ON=y\n"), 0o644))
	p := &pipeline{kit: &kernels.Kit{Release: "6.1.0", ConfigFile: config}, source: s}
	for _, text := range diffs {
		d, err := unified.Parse([]byte(text))
		require.NoError(t, err)
		p.request.Diffs = append(p.request.Diffs, Part{Path: "fix.patch", Diff: d, Level: unified.Auto})
	}
	return p
}

const function = "int f(void)\n{\n\treturn 1;\n}\n"

// TestBeforeCompiling: what the diff alone, or who builds the file, decides.
func TestBeforeCompiling(t *testing.T) {
	s := &fakeSource{
		files: map[string]string{
			"fs/a.c": function, "fs/none.c": function, "fs/Kconfig": "config A\n\tbool\n", "fs/Makefile": "obj-y += a.o\n", "include/h.h": "/* one */\nstruct s { int a; };\n",
			"arch/x86/lib/x.S": "\tret\n", "arch/x86/entry/vdso/v.c": function, "arch/x86/boot/b.c": function, "Documentation/d.rst": "text\n",
		},
		units: map[string]string{"fs/a.c": "vmlinux"},
	}
	both := func(diffs ...string) string { return strings.Join(diffs, "") }
	doc := replace("Documentation/d.rst", "text\n", "text", "other")
	for _, c := range []struct {
		name, diff string
		code       refusal.Code
		says       string
	}{
		{"Kconfig", replace("fs/Kconfig", s.files["fs/Kconfig"], "\tbool", "\ttristate"), refusal.NotCode, "fs/Kconfig: no code that is built changes"},
		{"Makefile and text", both(replace("fs/Makefile", s.files["fs/Makefile"], "obj-y += a.o", "obj-y += b.o"), doc), refusal.NotCode, "no code that is built changes"},
		{"comment", replace("include/h.h", s.files["include/h.h"], "/* one */", "/* two */"), refusal.NoEffect, "include/h.h: the diff has no functional change"},
		{"comment and text", both(replace("include/h.h", s.files["include/h.h"], "/* one */", "/* two */"), doc), refusal.NoEffect, "no functional change"},
		{"assembly", replace("arch/x86/lib/x.S", "\tret\n", "\tret", "\tnop"), refusal.Assembly, "arch/x86/lib/x.S: assembly cannot be live-patched"},
		{"vDSO", replace("arch/x86/entry/vdso/v.c", function, "\treturn 1;", "\treturn 2;"), refusal.VDSO, "user space"},
		{"boot", replace("arch/x86/boot/b.c", function, "\treturn 1;", "\treturn 2;"), refusal.InitExit, "not part of the running kernel"},
		{"not built", replace("fs/none.c", function, "\treturn 1;", "\treturn 2;"), refusal.NotBuilt, "fs/none.c: this kernel is not built from it"},
		{"new file", "--- /dev/null\n+++ b/fs/n.c\n@@ -0,0 +1 @@\n+int n;\n", refusal.NotBuilt, "the file is new"},
		{"removed file", "--- a/fs/a.c\n+++ /dev/null\n@@ -1,4 +0,0 @@\n-int f(void)\n-{\n-\treturn 1;\n-}\n", refusal.Special, "cannot be taken out"},
		{"does not fit", replace("fs/a.c", "int f(void)\n{\n\treturn 3;\n}\n", "\treturn 3;", "\treturn 2;"), refusal.HunkFailed, "line 3 is `return 1;`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.compiled = nil
			_, err := pipelineOf(t, s, c.diff).module(t.Context())
			all := refusal.All(err)
			require.Len(t, all, 1, "%v", err)
			require.Equal(t, c.code, all[0].Code)
			require.Equal(t, "6.1.0", all[0].Release)
			require.ErrorContains(t, err, c.says)
			require.Empty(t, s.compiled)
		})
	}
	// Each thing that is wrong is told.
	_, err := pipelineOf(t, s, both(replace("arch/x86/lib/x.S", "\tret\n", "\tret", "\tnop"), replace("arch/x86/entry/vdso/v.c", function, "\treturn 1;", "\treturn 2;"))).module(t.Context())
	require.Len(t, refusal.All(err), 2)
}

// TestCompiles: code that changes is compiled before and after, with the rest
// of the diff in place, and with types only where one may change.
func TestCompiles(t *testing.T) {
	s := &fakeSource{
		files: map[string]string{"fs/a.c": function, "Documentation/d.rst": "text\n", "fs/t.c": "struct s { int a; };\n" + function},
		units: map[string]string{"fs/a.c": "vmlinux", "fs/t.c": "fat"},
	}
	p := pipelineOf(t, s, replace("fs/a.c", function, "\treturn 1;", "\treturn 2;")+replace("Documentation/d.rst", "text\n", "text", "other"))
	_, err := p.module(t.Context())
	require.ErrorIs(t, err, errCompiled)
	require.Len(t, s.compiled, 2)
	require.Nil(t, s.compiled[0].Overlay)
	require.Equal(t, strings.Replace(function, "1", "2", 1), string(s.compiled[1].Overlay["fs/a.c"]))
	require.Equal(t, "fs/a.c", s.compiled[1].Units[0].Source)
	require.False(t, s.compiled[1].Debug)
	require.Equal(t, []string{"fs/a.c"}, p.made.Files[1].Units)
	require.Equal(t, "no code of the kernel's", p.made.Files[0].Ignored)

	s.compiled = nil
	_, err = pipelineOf(t, s, replace("fs/t.c", s.files["fs/t.c"], "struct s { int a; };", "struct s { long a; };")).module(t.Context())
	require.ErrorIs(t, err, errCompiled)
	require.True(t, s.compiled[1].Debug)
}

// TestStack: a diff on others holds against what they left, and its module
// against the kernel's own source; the lines moved by all of them.
func TestStack(t *testing.T) {
	s := &fakeSource{files: map[string]string{"fs/a.c": function}, units: map[string]string{"fs/a.c": "vmlinux"}}
	one := "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,4 +1,6 @@\n int f(void)\n {\n-\treturn 1;\n+\tint a = 1;\n+\n+\treturn a;\n }\n"
	two := "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,6 +1,6 @@\n int f(void)\n {\n-\tint a = 1;\n+\tint a = 2;\n \n \treturn a;\n }\n"
	_, err := pipelineOf(t, s, one, two).module(t.Context())
	require.ErrorIs(t, err, errCompiled)
	require.Equal(t, "int f(void)\n{\n\tint a = 2;\n\n\treturn a;\n}\n", string(s.compiled[1].Overlay["fs/a.c"]))
	require.Nil(t, s.compiled[0].Overlay)
	changed, err := pipelineOf(t, s, one, two).apply()
	require.NoError(t, err)
	require.Equal(t, function, string(changed[0].Before))
	line, ok := changed[0].Moved(4)
	require.True(t, ok)
	require.Equal(t, 6, line)
	_, ok = changed[0].Moved(3)
	require.False(t, ok)

	_, err = pipelineOf(t, s, two).module(t.Context())
	require.ErrorContains(t, err, "does not fit")
	_, err = pipelineOf(t, s, one, one).module(t.Context())
	require.Equal(t, refusal.AlreadyApplied, refusal.All(err)[0].Code)
	_, err = pipelineOf(t, s, one, replace("fs/a.c", function, "\treturn 1;", "\treturn 2;")).module(t.Context())
	require.ErrorContains(t, err, "-replace")
}

// TestHeaders: of who includes a header, those that name what changes.
func TestHeaders(t *testing.T) {
	h := "static inline int f(int a)\n{\n\treturn a;\n}\n#define N 1\nstruct s { int a; };\n"
	s := &fakeSource{
		files: map[string]string{
			"include/h.h": h, "include/by.h": "static inline int g(int a)\n{\n\treturn f(a);\n}\n#define G(x) g(x)\n",
			"fs/direct.c": "int a = f(1);\n", "fs/through.c": "int b(void) { return G(2); }\n", "fs/no.c": "int ff(void) { return 1; }\n",
			"fs/part.c": "int p(void) { return f(1); }\n", "fs/whole.c": "#include \"part.c\"\n",
		},
		units: map[string]string{"fs/direct.c": "vmlinux", "fs/through.c": "vmlinux", "fs/no.c": "vmlinux", "fs/whole.c": "fat"},
	}
	s.includes = map[string][]string{"include/h.h": {"fs/direct.c", "fs/no.c", "fs/part.c", "fs/through.c", "fs/whole.c", "include/by.h"}}
	for _, c := range []struct {
		old, new string
		want     []string
	}{
		{"\treturn a;", "\treturn a + 1;", []string{"fs/direct.c", "fs/through.c", "fs/whole.c"}},
		{"#define N 1", "#define N 2", nil},
		{"struct s { int a; };", "struct s { long a; };", []string{"fs/direct.c", "fs/no.c", "fs/through.c", "fs/whole.c"}},
	} {
		s.compiled = nil
		_, err := pipelineOf(t, s, replace("include/h.h", h, c.old, c.new)).module(t.Context())
		var got []string
		for _, j := range s.compiled[:min(1, len(s.compiled))] {
			for _, u := range j.Units {
				got = append(got, u.Source)
			}
		}
		require.Equal(t, c.want, got, "%s: %v", c.new, err)
		if c.want == nil {
			require.ErrorContains(t, err, "nothing that this kernel is built from uses what it changes")
		}
	}
}

// TestHeadersOfAssembly: a header's change that reaches assembly is refused, and
// one that only could is not.
func TestHeadersOfAssembly(t *testing.T) {
	h := "#define N 1\n#define M 1\nint f(int a);\n"
	s := &fakeSource{
		files: map[string]string{
			"include/h.h": h, "include/by.h": ".macro PUSH a\n\tpush N\n.endm\n", "fs/a.c": "int a = N + M;\n",
			"fs/one.S": "\tmov N\n", "fs/two.S": "\tPUSH N\n", "fs/other.S": "\tcall f\n", "fs/foreign.S": "\tmov N\n", "fs/none.S": "\tret M\n#error\n",
		},
		units: map[string]string{"fs/a.c": "vmlinux", "fs/one.S": "vmlinux", "fs/two.S": "vmlinux", "fs/other.S": "vmlinux", "fs/none.S": "vmlinux"},
	}
	s.includes = map[string][]string{"include/h.h": {"fs/a.c", "fs/foreign.S", "fs/none.S", "fs/one.S", "fs/other.S", "fs/two.S", "include/by.h"}}
	p := pipelineOf(t, s, replace("include/h.h", h, "#define N 1", "#define N 2"))
	_, err := p.module(t.Context())
	all := refusal.All(err)
	require.Len(t, all, 1, "%v", err)
	require.Equal(t, refusal.Assembly, all[0].Code)
	require.Equal(t, "include/h.h", all[0].File)
	require.ErrorContains(t, err, "(fs/one.S, fs/two.S)")
	require.Empty(t, s.compiled)

	p = pipelineOf(t, s, replace("include/h.h", h, "#define M 1", "#define M 2"))
	_, err = p.module(t.Context())
	require.ErrorIs(t, err, errCompiled)
	require.Len(t, p.made.Warnings, 1)
	require.Contains(t, p.made.Warnings[0], "fs/none.S, which is assembly")

	// A header that only assembly includes, and a macro of the assembler's.
	s.files["include/entry.h"] = ".macro POP\n\tpop N\n.endm\n"
	s.includes["include/entry.h"] = []string{"fs/one.S"}
	_, err = pipelineOf(t, s, replace("include/entry.h", s.files["include/entry.h"], "\tpop N", "\tpop M")).module(t.Context())
	require.ErrorContains(t, err, "nothing that this kernel is built from uses what it changes")
}

// TestHidden: a change that the configuration leaves out is told with the
// option.
func TestHidden(t *testing.T) {
	text := "#ifdef CONFIG_ON\nint on;\n#else\nint off;\n#endif\n#if defined(CONFIG_GONE) && 1\nint gone;\n#endif\n"
	for _, c := range []struct{ old, new, says string }{
		{"int gone;", "int gone2;", "a.c:7: this kernel is built without it: it stands under \"#if defined(CONFIG_GONE) && 1\", and CONFIG_GONE is not set"},
		{"int on;", "int on2;", ""},
	} {
		p := pipelineOf(t, &fakeSource{files: map[string]string{"fs/a.c": text}}, replace("fs/a.c", text, c.old, c.new))
		changed, err := p.apply()
		require.NoError(t, err)
		r := p.hidden(sorted{sources: changed})
		if c.says == "" {
			require.Nil(t, r)
			continue
		}
		require.Contains(t, r.Error(), c.says)
	}
}

// TestWarnings: what the source alone tells of risks.
func TestWarnings(t *testing.T) {
	old := "#define N 1\nint f(void)\n{\n\treturn N;\n}\nSYSCALL_DEFINE1(g, int, a)\n{\n\treturn a;\n}\n"
	new := "#define N 2\n#define M 3\nint f(void)\n{\n\tspin_lock(&l);\n\treturn N;\n}\nSYSCALL_DEFINE1(g, int, a)\n{\n\tguard(mutex)(&m);\n\treturn a;\n}\n"
	p := &pipeline{}
	p.made.Functions = []Function{{Name: "ep_poll.isra.0", Patched: true}, {Name: "do_select"}, {Name: "kswapd", Patched: true}}
	p.made.Data = []Data{{Name: "reads"}, {Name: "__already_done"}}
	p.warn(sorted{sources: []unified.Changed{{Name: "fs/a.c", Before: []byte(old), After: []byte(new)}}})
	text := strings.Join(p.made.Warnings, "\n")
	require.Len(t, p.made.Warnings, 6, text)
	for _, w := range []string{"ep_poll.isra.0() is on the stack of whoever waits in epoll_wait()", "kswapd() is on the stack of kswapd", "reads is new data",
		"f() takes other locks than before (+spin_lock)", "g() takes other locks than before (+guard)", "fs/a.c: the meaning of N changes"} {
		require.Contains(t, text, w)
	}
}
