// SPDX-License-Identifier: Apache-2.0

package unified

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// source is a source of a few files.
type source map[string]string

func (s source) read(name string) ([]byte, error) {
	text, ok := s[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// apply parses and applies, and gives the changed files; "(gone)" for one that
// went.
func apply(t testing.TB, s source, diff string, level int, reverse bool) (source, *Result, error) {
	t.Helper()
	d, err := Parse([]byte(diff))
	if err != nil {
		return nil, nil, err
	}
	if reverse {
		d = d.Reverse()
	}
	r, err := d.Apply(s.read, level)
	if err != nil {
		return nil, nil, err
	}
	out := source{}
	for name, text := range r.Overlay() {
		out[name] = "(gone)"
		if text != nil {
			out[name] = string(text)
		}
	}
	return out, r, nil
}

const (
	before = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n"
	after  = "one\ntwo\nthree\n4\nfive\nsix\nseven\neight\n"
	hunk   = "@@ -1,7 +1,7 @@ f\n one\n two\n three\n-four\n+4\n five\n six\n seven\n"
)

// TestForms: every form in which diffs come.
func TestForms(t *testing.T) {
	tree := source{"fs/a.c": before, "fs/Makefile": "", "b.c": before}
	for _, c := range []struct {
		name, diff string
		level      int
		want       source
	}{
		{"git", "diff --git a/fs/a.c b/fs/a.c\nindex 12345..67890 100644\n--- a/fs/a.c\n+++ b/fs/a.c\n" + hunk, Auto, source{"fs/a.c": after}},
		{"git without index", "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n" + hunk, Auto, source{"fs/a.c": after}},
		{"git --no-prefix", "diff --git fs/a.c fs/a.c\n--- fs/a.c\n+++ fs/a.c\n" + hunk, Auto, source{"fs/a.c": after}},
		{"plain", "--- a/fs/a.c\t2026-01-01 00:00:00.0 +0000\n+++ b/fs/a.c\t2026-01-02 00:00:00.0 +0000\n" + hunk, Auto, source{"fs/a.c": after}},
		{"plain by folder", "diff -ru linux.orig/fs/a.c linux/fs/a.c\n--- linux.orig/fs/a.c\n+++ linux/fs/a.c\n" + hunk, Auto, source{"fs/a.c": after}},
		{"absolute", "--- /home/u/linux/fs/a.c\n+++ /home/u/linux/fs/a.c\n" + hunk, Auto, source{"fs/a.c": after}},
		{"-p0", "--- fs/a.c\n+++ fs/a.c\n" + hunk, 0, source{"fs/a.c": after}},
		{"-p2", "--- x/y/fs/a.c\n+++ x/y/fs/a.c\n" + hunk, 2, source{"fs/a.c": after}},
		{"a backup's name", "--- a/fs/a.c.orig\n+++ a/fs/a.c\n" + hunk, 1, source{"fs/a.c": after}},
		{"CR LF", strings.ReplaceAll("--- a/fs/a.c\n+++ b/fs/a.c\n"+hunk, "\n", "\r\n"), Auto, source{"fs/a.c": after}},
		{"mail", "From: A <a@example.org>\nSubject: [PATCH] fix\n\nText with --- in it.\n---\n fs/a.c | 2 +-\n\ndiff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n" + hunk + "-- \n2.47.3\n\n", Auto, source{"fs/a.c": after}},
		{"two mails", "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n" + hunk + "-- \n2.47.3\n\nFrom 123 Mon Sep 17 00:00:00 2001\nSubject: [PATCH 2/2] more\n\ndiff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -7,2 +7,2 @@\n seven\n-eight\n+8\n-- \n2.47.3\n", Auto, source{"fs/a.c": strings.Replace(after, "eight", "8", 1)}},
		{"no newline at the end", "--- a/b.c\n+++ b/b.c\n@@ -6,3 +6,3 @@\n six\n seven\n-eight\n+8\n\\ No newline at end of file\n", Auto, source{"b.c": strings.TrimSuffix(strings.Replace(before, "eight", "8", 1), "\n")}},
		{"cut last newline", strings.TrimSuffix("--- a/b.c\n+++ b/b.c\n"+hunk, "\n"), Auto, source{"b.c": after}},
		{"a line that looks like a header", "--- a/b.c\n+++ b/b.c\n@@ -1,2 +1,3 @@\n one\n+++ x\n two\n", Auto, source{"b.c": strings.Replace(before, "one\n", "one\n++ x\n", 1)}},
		{"new, git", "diff --git a/fs/n.c b/fs/n.c\nnew file mode 100644\nindex 0000000..1\n--- /dev/null\n+++ b/fs/n.c\n@@ -0,0 +1,2 @@\n+x\n+y\n", Auto, source{"fs/n.c": "x\ny\n"}},
		{"new, plain", "--- /dev/null\n+++ b/fs/n.c\n@@ -0,0 +1 @@\n+x\n", Auto, source{"fs/n.c": "x\n"}},
		{"gone", "diff --git a/b.c b/b.c\ndeleted file mode 100644\n--- a/b.c\n+++ /dev/null\n@@ -1,8 +0,0 @@\n-one\n-two\n-three\n-four\n-five\n-six\n-seven\n-eight\n", Auto, source{"b.c": "(gone)"}},
		{"renamed", "diff --git a/b.c b/fs/c.c\nsimilarity index 100%\nrename from b.c\nrename to fs/c.c\n", Auto, source{"b.c": "(gone)", "fs/c.c": before}},
		{"renamed and changed", "diff --git a/b.c b/fs/c.c\nsimilarity index 90%\nrename from b.c\nrename to fs/c.c\nindex 1..2 100644\n--- a/b.c\n+++ b/fs/c.c\n" + hunk, Auto, source{"b.c": "(gone)", "fs/c.c": after}},
		{"renamed, --no-prefix", "diff --git b.c fs/c.c\nsimilarity index 90%\nrename from b.c\nrename to fs/c.c\n--- b.c\n+++ fs/c.c\n" + hunk, Auto, source{"b.c": "(gone)", "fs/c.c": after}},
		{"copied", "diff --git a/b.c b/fs/c.c\nsimilarity index 90%\ncopy from b.c\ncopy to fs/c.c\n--- a/b.c\n+++ b/fs/c.c\n" + hunk, Auto, source{"fs/c.c": after}},
		{"another mode", "diff --git a/b.c b/b.c\nold mode 100644\nnew mode 100755\n", Auto, source{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, r, err := apply(t, tree, c.diff, c.level, false)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Empty(t, notes(r))

			// The reverse of it undoes it.
			changed := source{}
			for name, text := range tree {
				changed[name] = text
			}
			for name, text := range got {
				changed[name] = text
				if text == "(gone)" {
					delete(changed, name)
				}
			}
			back, _, err := apply(t, changed, c.diff, c.level, true)
			require.NoError(t, err)
			for name, text := range back {
				if text == "(gone)" {
					delete(changed, name)
				} else {
					changed[name] = text
				}
			}
			require.Equal(t, tree, changed)
		})
	}
}

// TestRefusals: what does not fit is told with place and nearest match, and
// what is in already as such.
func TestRefusals(t *testing.T) {
	const head = "--- a/a.c\n+++ b/a.c\n"
	for _, c := range []struct {
		name, file, diff string
		reverse          bool
		code             refusal.Code
		want             []string
	}{
		{"applied", after, head + hunk, false, refusal.AlreadyApplied, []string{"a.c:1: the diff is applied already", "-R"}},
		{"applied, moved", "zero\n" + after, head + hunk, false, refusal.AlreadyApplied, []string{"a.c:2:"}},
		{"not applied, reversed", before, head + hunk, true, refusal.AlreadyApplied, nil},
		// Two lines of context may differ, and without them the addition would
		// fit a second time.
		{"an addition that is in", "a\nb\nc\nnew\nd\ne\nf\n", head + "@@ -1,6 +1,7 @@\n a\n b\n c\n+new\n d\n e\n f\n", false, refusal.AlreadyApplied, nil},
		{"an addition that is in, whose last line is like the one before it", "x;\nreturn 1;\n\nif (n)\nreturn 2;\n\nif (m)\nz;\n",
			head + "@@ -1,5 +1,8 @@\n x;\n return 1;\n \n+if (n)\n+return 2;\n+\n if (m)\n z;\n", false, refusal.AlreadyApplied, nil},
		{"another text", "one\ntwo\nthree\nFOUR\nfive\nsix\nseven\n", head + "@@ -2,5 +2,5 @@\n two\n three\n-four\n+4\n five\n six\n", false, refusal.HunkFailed,
			[]string{"a.c:2: hunk 1 of 1 does not fit", "nearest match is at line 2, 4 of 5 lines", "line 4 is `FOUR`, the diff has `four`"}},
		{"second hunk", before, head + "@@ -1,2 +1,2 @@\n-one\n+1\n two\n@@ -7,2 +7,2 @@\n seven\n-nine\n+9\n", false, refusal.HunkFailed, []string{"hunk 2 of 2", "at line 7, 1 of 2 lines", "`eight`", "`nine`"}},
		{"out of order", before, head + "@@ -6,3 +6,3 @@\n six\n-seven\n+7\n eight\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n", false, refusal.HunkFailed, []string{"hunk 2 of 2"}},
		{"missing", before, "--- a/b.c\n+++ b/b.c\n" + hunk, false, refusal.HunkFailed, []string{"b.c: this kernel's source has no such file"}},
		{"new, and there", before, "--- /dev/null\n+++ b/a.c\n@@ -0,0 +1 @@\n+x\n", false, refusal.HunkFailed, []string{"a.c: the diff makes this file anew"}},
		{"new, and there the same", "x\n", "--- /dev/null\n+++ b/a.c\n@@ -0,0 +1 @@\n+x\n", false, refusal.AlreadyApplied, nil},
		{"gone already", before, "--- a/b.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n", false, refusal.AlreadyApplied, nil},
		{"removes a part", before, "--- a/a.c\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n", false, refusal.HunkFailed, []string{"more in it"}},
		{"empty", before, "", false, refusal.BadDiff, []string{"no unified diff in it"}},
		{"no diff", before, "hello\n", false, refusal.BadDiff, nil},
		{"cut", before, head + hunk[:len(hunk)-7], false, refusal.BadDiff, []string{"miscounts"}},
		{"hunk without a file", before, hunk, false, refusal.BadDiff, nil},
		{"leads out", before, "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n" + hunk, false, refusal.BadDiff, []string{"leads out"}},
		{"binary", before, "diff --git a/a.c b/a.c\nindex 1..2 100644\nBinary files a/a.c and b/a.c differ\n", false, refusal.BadDiff, []string{"binary"}},
		{"NUL", before, head + hunk + "\x00", false, refusal.BadDiff, []string{"NUL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := apply(t, source{"a.c": c.file, "d/x.c": ""}, c.diff, Auto, c.reverse)
			var r *refusal.Refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, c.code, r.Code, "%v", err)
			require.NotEmpty(t, r.Advice)
			for _, w := range c.want {
				require.Contains(t, err.Error(), w)
			}
		})
	}
}

func notes(r *Result) []string {
	plain, fuzzy := r.Notes()
	return append(plain, fuzzy...)
}

// TestSeveralFail: each file that does not fit is told; that all have the
// change already is one thing.
func TestSeveralFail(t *testing.T) {
	_, _, err := apply(t, source{"a.c": "x\n", "b.c": after}, "--- a/a.c\n+++ b/a.c\n"+hunk+"--- a/b.c\n+++ b/b.c\n"+hunk, 1, false)
	require.ErrorContains(t, err, "a.c:1: hunk 1 of 1 does not fit")
	require.ErrorContains(t, err, "b.c:1: the diff is applied already")
	_, _, err = apply(t, source{"a.c": after, "b.c": after}, "--- a/a.c\n+++ b/a.c\n"+hunk+"--- a/b.c\n+++ b/b.c\n"+hunk, 1, false)
	require.Len(t, refusal.All(err), 1)
	require.ErrorContains(t, err, "a.c:1: the diff is applied already: this kernel's source has the change, in b.c too")
}

// TestDisorder: hunks that stand in another order than in the file are told as
// that, and not as a match of all lines that is none.
func TestDisorder(t *testing.T) {
	first, second := "@@ -1,2 +1,2 @@\n-alpha\n+ALPHA\n beta\n", "@@ -4,2 +4,2 @@\n delta\n-epsilon\n+EPSILON\n"
	file := source{"a.c": "alpha\nbeta\ngamma\ndelta\nepsilon\n"}
	got, _, err := apply(t, file, "--- a/a.c\n+++ b/a.c\n"+first+second, 1, false)
	require.NoError(t, err)
	require.Equal(t, source{"a.c": "ALPHA\nbeta\ngamma\ndelta\nEPSILON\n"}, got)
	_, _, err = apply(t, file, "--- a/a.c\n+++ b/a.c\n"+second+first, 1, false)
	require.ErrorContains(t, err, "a.c:1: hunk 2 of 2 does not fit")
	require.ErrorContains(t, err, "order of the file")
}

// TestFuzz: context that does not fit is told.
func TestFuzz(t *testing.T) {
	for _, c := range []struct {
		name, file, want, note string
		fuzzy                  bool
	}{
		{"offset", "0\n0\n" + before, "0\n0\n" + after, "a.c: hunk 1 fits line 3, +2 lines from where the diff has it", false},
		{"fuzz 1", strings.Replace(before, "one", "ONE", 1), strings.Replace(after, "one", "ONE", 1), "(fuzz 1)", true},
		{"fuzz 2", strings.NewReplacer("six", "SIX", "seven", "SEVEN").Replace(before), strings.NewReplacer("six", "SIX", "seven", "SEVEN").Replace(after), "only without 2 lines of its context (fuzz 2)", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, r, err := apply(t, source{"a.c": c.file}, "--- a/a.c\n+++ b/a.c\n"+hunk, 1, false)
			require.NoError(t, err)
			require.Equal(t, source{"a.c": c.want}, got)
			require.Len(t, notes(r), 1)
			require.Contains(t, notes(r)[0], c.note)
			_, fuzzy := r.Notes()
			require.Equal(t, c.fuzzy, len(fuzzy) > 0)
		})
	}
	_, _, err := apply(t, source{"a.c": strings.NewReplacer("three", "THREE").Replace(before)}, "--- a/a.c\n+++ b/a.c\n"+hunk, 1, false)
	require.Error(t, err, "a line beside the change must fit")
}

// FuzzParse holds that no diff panics, or names a file outside of the source,
// and that what applies can be taken back.
func FuzzParse(f *testing.F) {
	examples, err := filepath.Glob("testdata/*.patch")
	require.NoError(f, err)
	for _, path := range examples {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("--- a/a.c\n+++ b/a.c\n" + hunk))
	f.Add([]byte("diff --git a/a.c b/b.c\nrename from a.c\nrename to b.c\n--- a/a.c\n+++ b/b.c\n" + hunk))
	f.Add([]byte("diff --git a/n.c b/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		tree := source{"a.c": before, "fs/a.c": after}
		for _, level := range []int{Auto, 0, 1, 3} {
			r, err := d.Apply(func(name string) ([]byte, error) {
				require.True(t, fs.ValidPath(name), "%q", name)
				return tree.read(name)
			}, level)
			if err != nil {
				continue
			}
			for _, c := range r.Files {
				require.True(t, fs.ValidPath(c.Name), "%q", c.Name)
			}
		}
	})
}
