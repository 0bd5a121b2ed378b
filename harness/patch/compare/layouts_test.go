// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// debugged compiles source with debug information and gives the file.
func debugged(t *testing.T, source string) io.ReaderAt {
	t.Helper()
	o := compile(t, source, "-g")
	data, err := os.ReadFile(o.Name)
	require.NoError(t, err)
	require.Equal(t, "unit.o", filepath.Base(o.Name))
	return bytes.NewReader(data)
}

func TestLayouts(t *testing.T) {
	const use = "struct x; int f(struct x *p) { return sizeof(*p); }"
	for _, c := range []struct {
		name, pre, post string
		what            []string
		renamed         bool
	}{
		{"nothing", "struct x { int a; };", "\n\nstruct x { int a; };", nil, false},
		{"a member at the end", "struct x { int a; };", "struct x { int a; int b; };", []string{"struct x: new member b"}, false},
		{"a member in padding", "struct x { int a; long c; };", "struct x { int a; char pad; long c; };", []string{"struct x: new member pad"}, false},
		{"a member gone", "struct x { int a; int b; };", "struct x { int a; };", []string{"struct x: no member b any more"}, false},
		{"order", "struct x { int a; int b; };", "struct x { int b; int a; };", []string{"struct x: member b where a was"}, false},
		{"a name", "struct x { int a; int b; };", "struct x { int a; int c; };", []string{"struct x: member b is now c"}, true},
		{"type", "struct x { int a; };", "struct x { long a; };", []string{"struct x: member a has another type"}, false},
		{"sign", "struct x { int a; };", "struct x { unsigned a; };", []string{"struct x: member a has another type"}, false},
		{"what a pointer is to", "struct x { int *a; };", "struct x { long *a; };", nil, false},
		{"a method", "struct x { int (*a)(int); };", "struct x { int (*a)(int, struct x *); };", []string{"struct x: member a has another type"}, false},
		{"a length", "struct x { char a[4]; };", "struct x { char a[5]; };", []string{"struct x: member a has another type"}, false},
		{"bits", "struct x { int a:3; int b:4; };", "struct x { int a:4; int b:4; };", []string{"struct x: member a has 4 bits instead of 3"}, false},
		{"inside", "struct x { struct { int a; } in; };", "struct x { struct { long a; } in; };", []string{"struct x: member in has another type"}, false},
		{"attributes", "struct x { char a; int b; };", "struct x { char a; int b; } __attribute__((packed));", []string{"struct x: member b is at bit 8 instead of 32"}, false},
		{"enum at the end", "enum e { A, B, MAX }; struct x { enum e a; };", "enum e { A, B, C, MAX }; struct x { enum e a; };", nil, false},
		{"enum inside", "enum e { A, B, MAX }; struct x { enum e a; };", "enum e { C, A, B, MAX }; struct x { enum e a; };", []string{"enum e: A is 1 instead of 0", "enum e: B is 2 instead of 1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, err := Layouts(debugged(t, c.pre+use), debugged(t, c.post+use))
			require.NoError(t, err)
			var what []string
			for _, x := range changes {
				what = append(what, x.Name+": "+x.What)
				require.Equal(t, c.renamed, x.Renamed)
				require.Contains(t, x.File, "unit.c")
				require.Positive(t, x.Line)
			}
			require.Equal(t, c.what, what)
		})
	}
}

func TestSignatures(t *testing.T) {
	pre, err := ReadDebugInfo(debugged(t, "struct s; int f(struct s *p) { return 1; } int g(int a) { return a; } static int help(int a) { return a * 3; } int h(int a) { return help(a); }"), "")
	require.NoError(t, err)
	post, err := ReadDebugInfo(debugged(t, "struct s; struct u; int f(struct u *p) { return 1; } int g(int b) { return b; } static int help(int a) { return a * 3; } int h(int a) { return help(a); }"), "")
	require.NoError(t, err)
	require.NoError(t, pre.Signatures(post, []string{"g", "none"}))
	err = pre.Signatures(post, []string{"f", "g"})
	var r *refusal.Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, refusal.Signature, r.Code)
	require.Equal(t, "f", r.Function)
	require.Equal(t, 2, r.Line)
	require.Contains(t, r.Text, "int:4(u *) instead of int:4(s *)")

	require.True(t, pre.OnlyInlined("help"))
	require.False(t, pre.OnlyInlined("g"))
	inner := &refusal.Refusal{Function: "g"}
	pre.Locate(inner)
	require.Equal(t, 2, inner.Line)
}
