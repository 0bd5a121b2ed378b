// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels"
)

const someDiff = "--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"

// TestOpenDiff: a diff and what lies beside it.
func TestOpenDiff(t *testing.T) {
	dir := tree(t, "d", map[string]string{
		"cve-1.patch": someDiff, "cve-1.klp.c": "int klp_pre_patch(struct klp_object *o) { return 0; }\n", "cve-1.probes.json": `[{"read": "/proc/x", "before": "a", "after": "b"}]`,
		"cve-1.with/target.c": "", "bare.diff": someDiff, "bad.patch": "nothing\n", "probes.patch": someDiff, "probes.probes.json": "{",
	})
	s, err := Open(filepath.Join(dir, "cve-1.patch"))
	require.NoError(t, err)
	require.Equal(t, Diff, s.Kind)
	require.Equal(t, "cve_1", s.Name)
	require.Equal(t, filepath.Join(dir, "cve-1.klp.c"), s.diff.callbacks)
	require.Len(t, s.Probes, 1)
	require.Equal(t, "target", Needed(s)[0].Name)

	s, err = Open(filepath.Join(dir, "bare.diff"))
	require.NoError(t, err)
	require.Empty(t, s.diff.callbacks)
	require.Empty(t, s.Probes)

	_, err = Open(filepath.Join(dir, "bad.patch"))
	all := refusal.All(err)
	require.Len(t, all, 1)
	require.Equal(t, refusal.BadDiff, all[0].Code)
	require.Equal(t, filepath.Join(dir, "bad.patch"), all[0].File)
	var input *InputError
	_, err = Open(filepath.Join(dir, "probes.patch"))
	require.ErrorAs(t, err, &input)
	_, err = Open(filepath.Join(dir, "none.patch"))
	require.ErrorAs(t, err, &input)
}

// TestBelow: what a diff of a stack is applied on.
func TestBelow(t *testing.T) {
	a, b, c := &Source{Kind: Diff, diff: &diffFile{}}, &Source{Kind: Diff, diff: &diffFile{}}, &Source{Kind: Folder}
	r := &Source{Kind: Diff, diff: &diffFile{DiffOptions: DiffOptions{Replace: true}}}
	for _, x := range []struct{ stack, want []*Source }{
		{[]*Source{a}, nil},
		{[]*Source{a, b}, []*Source{a}},
		{[]*Source{a, c, b}, []*Source{a}},
		{[]*Source{a, c}, nil},
		{[]*Source{a, r}, nil},
		{[]*Source{a, r, b}, []*Source{r}},
	} {
		require.Equal(t, x.want, Below(x.stack, len(x.stack)-1))
	}
}

// TestDiffKey: whatever decides the module's bytes is in its name.
func TestDiffKey(t *testing.T) {
	dir := tree(t, "d", map[string]string{"a.patch": someDiff, "b.patch": someDiff + "\n", "c.patch": someDiff, "c.klp.c": "int x;\n"})
	open := func(name string, o DiffOptions) *Source {
		s, err := OpenAs(filepath.Join(dir, name), o)
		require.NoError(t, err)
		s.Name = "fix"
		return s
	}
	level := 1
	kit := &kernels.Kit{Release: "6.1", Version: "6.1-1", Dir: "/x/6.1"}
	other := &kernels.Kit{Release: "6.1", Version: "6.1-2", Dir: "/x/6.1"}
	a := open("a.patch", DiffOptions{})
	seen := map[string]bool{}
	for _, x := range []struct {
		s     *Source
		below []*Source
		kit   *kernels.Kit
	}{
		{a, nil, kit}, {a, nil, other}, {a, []*Source{a}, kit}, {open("b.patch", DiffOptions{}), nil, kit}, {open("c.patch", DiffOptions{}), nil, kit},
		{open("a.patch", DiffOptions{Reverse: true}), nil, kit}, {open("a.patch", DiffOptions{Replace: true}), nil, kit}, {open("a.patch", DiffOptions{Level: &level}), nil, kit},
	} {
		key, err := x.s.diffKey(x.below, x.kit)
		require.NoError(t, err)
		require.False(t, seen[key], "%v", x)
		seen[key] = true
		again, err := x.s.diffKey(x.below, x.kit)
		require.NoError(t, err)
		require.Equal(t, key, again)
	}
}
