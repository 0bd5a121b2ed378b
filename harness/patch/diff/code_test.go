// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// TestSameCode: comments and space are no change, all else is.
func TestSameCode(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"comment", "int a; /* x\ny */ int b;", "int a; // z\nint b;", true},
		{"space", "int f(void)\n{\n\treturn 1;\n}\n", "int f(void) { return 1; }", true},
		{"code", "int a;", "int b;", false},
		{"string", `f("a /* b */");`, `f("a");`, false},
		{"space in a string", `f("a b");`, `f("a  b");`, false},
		{"comment sign in a string", `f("//");`, `f("//"); // x`, true},
		{"character", `f('"'); /* " */`, `f('"');`, true},
		{"words", "else if", "elseif", false},
		{"operators", "a = b++ + c;", "a = b + ++c;", false},
		{"signs", "a = b - -c;", "a = b --c;", false},
		{"space at operators", "a+=b<<c; d = *e->f;", "a += b << c; d=*e -> f;", true},
		{"parameters", "#define A(b) c\n", "#define A (b) c\n", false},
		{"no parameters", "#define A (b)\n", "#  define A  ( b )\n", true},
		{"parameters after a comment", "#define A /* x */(b)\n", "#define A (b)\n", true},
		{"a macro's use", "#if A (b)\n", "#if A(b)\n", true},
		{"directive's end", "#define A x\ny", "#define A x y", false},
		{"continued directive", "#define A x \\\n\ty\nz", "#define A x y\nz", true},
		{"comment in a directive", "#define A 1 /* one */\n", "#define A 1\n", true},
		{"open comment", "a /* b", "a", true},
		{"open string", "a \"b\nc", "a \"b\nd", false},
	} {
		require.Equal(t, c.same, sameCode([]byte(c.a), []byte(c.b)), c.name)
	}
}

// TestChunks: what stands at the top of a file, one by one.
func TestChunks(t *testing.T) {
	const text = `#include <a.h>
static int x = 1;
struct s {
	int a;
#ifdef B
	int b;
#endif
} __packed;
#define M(a) \
	do { a; } while (0)
/* what f does */
int f(int a) __releases(lock)
{
	if (a) {
		return 1;
	}
#if 1
	return 2;
#endif
}
SYSCALL_DEFINE1(g, int, a)
{
	return f(a);
}
static const struct ops o = { .f = f, };
EXPORT_SYMBOL(f);
`
	var got []string
	for _, c := range chunks([]byte(text)) {
		got = append(got, c[0].text+" … "+c[len(c)-1].text)
	}
	require.Equal(t, []string{"# … >", "static … ;", "struct … ;", "# … )", "int … }", "SYSCALL_DEFINE1 … }", "static … ;", "EXPORT_SYMBOL … ;"}, got)
}

// TestShapes: only what can change a type or a constant costs a second
// compilation.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"int f(void) { return 1; }", "int f(void) { return 2; }", false},
		{"int f(struct s *p) { return p->a; }", "int f(struct s *p) { return p->b; }", false},
		{"static int a;", "static int a; static long b;", false},
		{"struct s { int a; };", "struct s { int a; int b; };", true},
		{"struct s { int a; }; int f(void) { return 1; }", "struct s { int a; }; int f(void) { return 2; }", false},
		{"union u { int a; };", "union u { long a; };", true},
		{"enum { A };", "enum { A, B };", true},
		{"typedef int t;", "typedef long t;", true},
		{"#define N 1\n", "#define N 2\n", true},
		{"static const struct ops o = { .f = f };", "static const struct ops o = { .f = g };", false},
		{"struct ____cacheline_aligned s { int a; } x;", "struct ____cacheline_aligned s { int b; } x;", true},
	} {
		got := false
		for _, ch := range changedChunks([]byte(c.a), []byte(c.b)) {
			got = got || ch.shapes()
		}
		require.Equal(t, c.want, got, c.b)
	}
}

// TestHeads: a function of which the head changes may be another function to
// its callers.
func TestHeads(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"int f(int a) { return 1; }", "int f(int a) { return 2; }", false},
		{"int f(int a) { return 1; }", "int f(long a) { return 1; }", true},
		{"int f(int a) { return 1; }", "int f(int a) { return 1; } int g(int a) { return 1; }", false},
		{"int f(int a) { return 1; }", "int f(int b) { return b; }", true},
		{"struct s { int (*f)(int); };", "struct s { int (*f)(long); };", true},
	} {
		require.Equal(t, c.want, typesMayChange(unified.Changed{Before: []byte(c.a), After: []byte(c.b)}), c.b)
	}
}

// TestLines finds functions by their names in the source.
func TestLines(t *testing.T) {
	c := unified.Changed{After: []byte("#define f(x) x\n\nint g(void);\nint x = f(1);\nstatic int __must_check\nf(int a)\n{\n\treturn g(a);\n}\nSYSCALL_DEFINE1(h, int, a)\n{\n\treturn f(a);\n}\n")}
	for name, line := range map[string]int{"f": 6, "f.isra.0": 6, "g": 0, "__do_sys_h": 10, "__x64_sys_h": 10, "__do_sys_f": 0} {
		require.Equal(t, line, lineOf(name, c), name)
	}
}

// FuzzTokens holds that no text makes the scanner panic or stand still.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("#define A \"x\\\n\" /* */ '\\''\nint f(void) { return 1; }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		for _, c := range chunks(text) {
			n += len(c)
		}
		require.LessOrEqual(t, n, len(tokens(text)))
		require.True(t, sameCode(text, text))
		require.Empty(t, changedChunks(text, text))
	})
}

func TestTouched(t *testing.T) {
	before := []byte("static int f(void) { return 1; }\nint g(void) { return 2; }\nSYSCALL_DEFINE1(x, int, a) { return 3; }\nint n = 4;\n")
	after := []byte("static int f(void) { return 2; }\nint g(void) { return 2; }\nSYSCALL_DEFINE1(x, int, a) { return 4; }\nint n = 5;\n")
	require.Equal(t, []string{"f"}, touched([]unified.Changed{{Before: before, After: after}, {Before: before, After: after}}))
}
