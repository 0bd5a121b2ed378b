// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompare(t *testing.T) {
	type m = map[string]Status
	for _, c := range []struct {
		name      string
		pre, post string
		functions m
		data      m
		exports   []string
		lines     []string
		flags     []string
	}{{
		name: "nothing", pre: "int f(int a) { return a; }", post: "\n\nint f(int a) { return a; }",
	}, {
		name: "a constant", pre: "int f(int a) { return a + 1; } int g(int a) { return a; }", post: "int f(int a) { return a + 2; } int g(int a) { return a; }",
		functions: m{"f": Changed},
	}, {
		name: "a string", pre: `void f(void) { printk("a"); } void g(void) { printk("b"); }`, post: `void f(void) { printk("new"); printk("a"); } void g(void) { printk("b"); }`,
		functions: m{"f": Changed},
	}, {
		name: "the order of functions", pre: "static int n; int f(int a) { return n + a; } int g(int a) { return n++ * a; }", post: "static int n; int g(int a) { return n++ * a; } int f(int a) { return n + a; }",
	}, {
		name: "lines of a bug table", pre: "int f(int a) { WARN_ON_ONCE(a > 5); return a; }", post: "\n\nint f(int a) { WARN_ON_ONCE(a > 5); return a; }",
		lines: []string{"f"},
	}, {
		name: "lines of might_sleep", pre: "void f(void) { __might_sleep(__FILE__, __LINE__); printk(\"x\"); }", post: "\n\nvoid f(void) { __might_sleep(__FILE__, __LINE__); printk(\"x\"); }",
		lines: []string{"f"},
	}, {
		name: "another element", pre: "extern int a[4]; static int b[4]; void set(int i) { b[i] = 1; } int f(void) { return a[1]; } int g(void) { return b[1]; }", post: "extern int a[4]; static int b[4]; void set(int i) { b[i] = 1; } int f(void) { return a[2]; } int g(void) { return b[3]; }",
		functions: m{"f": Changed, "g": Changed},
	}, {
		name: "lines of the sanitizer", flags: []string{"-fsanitize=bounds-strict"}, pre: "static int a[4]; int f(int i) { return a[i]; } int g(int i) { return a[i]++; }", post: "\n\nstatic int a[4]; int f(int i) { return a[i]; } int g(int i) { return a[i]++; }",
		lines: []string{"f", "g"},
	}, {
		name: "what the sanitizer says", flags: []string{"-fsanitize=bounds-strict"}, pre: "extern int a[4]; int f(int i) { return a[i]; }", post: "extern int a[5]; int f(int i) { return a[i]; }",
		functions: m{"f": Changed},
	}, {
		name: "a line in a string", pre: `void f(void) { printk("field at fs/a.c:12 (%d)"); } void g(void) { printk("at a.c:1"); } void h(void) { printk("at 12"); }`, post: `void f(void) { printk("field at fs/a.c:345 (%d)"); } void g(void) { printk("at b.c:1"); } void h(void) { printk("at 13"); }`,
		functions: m{"g": Changed, "h": Changed}, lines: []string{"f"},
	}, {
		name: "a constant that is no line", pre: "void f(void *p) { take(p, 10, 2); }", post: "void f(void *p) { take(p, 12, 2); }",
		functions: m{"f": Changed},
	}, {
		name:      "numbers of static locals",
		pre:       "int f(void) { static int count; return ++count; } int g(void) { static int count; return count += 3; }",
		post:      "int e(void) { static int before; return ++before + random(); } int f(void) { static int count; return ++count; } int g(void) { static int count; return count += 3; }",
		functions: m{"e": New}, data: m{"before": New},
	}, {
		name:      "static locals that change their functions",
		pre:       "int f(void) { static int count; return ++count; } int g(void) { static int count; return ++count; } int h(void) { static int count; return ++count; }",
		post:      "int f(void) { static int count; return ++count; } int g(void) { static int count; return ++count + random(); } int h(void) { static int count; return ++count; }",
		functions: m{"g": Changed},
	}, {
		name:      "an inlined helper",
		pre:       "static int help(int a) { return a * 3; } int f(int a) { return help(a); } int g(int a) { return a; }",
		post:      "static int help(int a) { return a * 5; } int f(int a) { return help(a); } int g(int a) { return a; }",
		functions: m{"f": Changed},
	}, {
		name:      "a new helper",
		pre:       "int f(int a) { return a; }",
		post:      "static noinline int help(int a) { return random() * a; } int f(int a) { return help(a) + help(2); }",
		functions: m{"f": Changed, "help": New},
	}, {
		name: "changed data", pre: "int n = 3; int f(void) { return n; }", post: "int n = 4; int f(void) { return n; }",
		data: m{"n": Changed},
	}, {
		name: "data that was zero", pre: "int n; int z; int f(void) { return n + z; }", post: "int n = 4; int z = 0; int f(void) { return n + z; }",
		data: m{"n": Changed},
	}, {
		name: "data that got larger", pre: "int n[4]; int f(void) { return n[1]; }", post: "int n[5]; int f(void) { return n[1]; }",
		data: m{"n": Changed},
	}, {
		name: "a table of functions", pre: "static void a(void) {} static void b(void) { printk(\"b\"); } void (*const t[])(void) = { a, b };", post: "static void a(void) {} static void b(void) { printk(\"b\"); } void (*const t[])(void) = { b, a };",
		data: m{"t": Changed},
	}, {
		name: "an export", pre: "int f(void) { return 1; } int g(void) { return 2; } EXPORT_SYMBOL(f);", post: "int f(void) { return 1; } int g(void) { return 2; } EXPORT_SYMBOL(g);",
		exports: []string{"+g", "-f"},
	}, {
		name: "another section", pre: "int f(int a) { return a; }", post: "__attribute__((section(\".special\"))) int f(int a) { return a; }",
		functions: m{"f": Changed},
	}, {
		name: "__func__", pre: "void f(void) { printk(\"%s\", __func__); }", post: "void e(void) { printk(\"%s\", __func__); } void f(void) { printk(\"%s\", __func__); }",
		functions: m{"e": New},
	}, {
		name: "the unlikely part",
		pre:  "extern void die(const char *) __attribute__((cold, noreturn)); int f(int a) { if (a > 5) { printk(\"1\"); die(\"a\"); } return random(); }",
		post: "extern void die(const char *) __attribute__((cold, noreturn)); int f(int a) { if (a > 5) { printk(\"2\"); die(\"a\"); } return random(); }", functions: m{"f": Changed},
	}, {
		name:      "a clone",
		pre:       "static noinline int help(int a, int b) { return random() * a + b; } int f(int a) { return help(a, 7); } int g(int a) { return help(a + 1, 7); }",
		post:      "static noinline int help(int a, int b) { return random() * a - b; } int f(int a) { return help(a, 7); } int g(int a) { return help(a + 1, 7); }",
		functions: m{"help": Changed},
	}, {
		name: "what an alternative puts in place", pre: `void f(void) { ALTERNATIVE("call one"); } void g(void) { ALTERNATIVE("call one"); }`, post: `void f(void) { ALTERNATIVE("call two"); } void g(void) { ALTERNATIVE("call one"); }`,
		functions: m{"f": Changed},
	}, {
		name: "what an alternative is for", pre: `void f(void) { ALTERNATIVE_IF("117", "int3"); } void g(void) { ALTERNATIVE("int3"); }`, post: `void f(void) { ALTERNATIVE_IF("118", "int3"); } void g(void) { ALTERNATIVE("int3"); }`,
		functions: m{"f": Changed},
	}, {
		name: "an alternative of another length", pre: `void f(void) { ALTERNATIVE("nop; nop"); } void g(void) { ALTERNATIVE(""); } void h(void) { ALTERNATIVE("int3"); }`, post: `void f(void) { ALTERNATIVE("nop"); } void g(void) { ALTERNATIVE(""); } void h(void) { ALTERNATIVE("int3"); }`,
		functions: m{"f": Changed},
	}, {
		name: "beside an alternative of nothing", pre: `void f(void) { ALTERNATIVE(""); } void g(void) { ALTERNATIVE("nop"); }`, post: `void f(void) { ALTERNATIVE(""); } void g(void) { ALTERNATIVE("int3"); }`,
		functions: m{"g": Changed},
	}, {
		name: "another key", pre: `extern struct key a, b; int f(void) { return static_branch(&a); } int g(void) { return static_branch(&b); }`, post: `extern struct key a, b; int f(void) { return static_branch(&b); } int g(void) { return static_branch(&b); }`,
		functions: m{"f": Changed},
	}, {
		name: "another static key", pre: `static struct key a, b; int f(void) { return static_branch(&a); } int g(void) { return static_branch(&b); }`, post: `static struct key a, b; int f(void) { return static_branch(&b); } int g(void) { return static_branch(&a); }`,
		functions: m{"f": Changed, "g": Changed},
	}, {
		name: "the way back from a fault", pre: `int f(int *p) { int x; return get_user(x, p); }`, post: "int f(int *p) { int x, e = 0; asm volatile(\"1: mov %2,%1\\n2:\\n.pushsection .fixup,\\\"ax\\\"\\n3: mov $-15,%0\\njmp 2b\\n.popsection\\n.pushsection __ex_table,\\\"a\\\"\\n.balign 4\\n.long 1b - ., 3b - ., 0\\n.popsection\" : \"+r\"(e), \"=r\"(x) : \"m\"(*(p))); return e; }",
		functions: m{"f": Changed},
	}, {
		name: "lines of pr_debug", pre: "void f(void) { pr_debug(\"x\"); } void g(void) { pr_debug(\"y\"); }", post: "\n\nvoid f(void) { pr_debug(\"x\"); } void g(void) { pr_debug(\"y\"); }",
		lines: []string{"f", "g"},
	}, {
		name: "the format of pr_debug", pre: "void f(void) { pr_debug(\"x\"); } void g(void) { pr_debug(\"y\"); }", post: "void f(void) { pr_debug(\"z\"); } void g(void) { pr_debug(\"y\"); }",
		functions: m{"f": Changed},
	}} {
		t.Run(c.name, func(t *testing.T) {
			d, err := Compare(compile(t, c.pre, c.flags...), compile(t, c.post, c.flags...))
			require.NoError(t, err)
			if c.functions == nil {
				c.functions = m{}
			}
			if c.data == nil {
				c.data = m{}
			}
			require.Equal(t, c.functions, changes(d))
			require.Equal(t, c.data, data(d))
			require.Equal(t, c.exports, d.Exports)
			require.Empty(t, d.Tables)
			require.Equal(t, c.lines, d.LineOnly)
		})
	}
}

func TestCompareMoved(t *testing.T) {
	const pre = "void f(void *p) {\n take(p, __LINE__, 5);\n}\nvoid g(void *p) { take(p, 3, 4); }\nvoid h(void *p) { take(p, __LINE__, 5); }"
	const post = "\nvoid f(void *p) {\n take(p, __LINE__, 5);\n}\nvoid g(void *p) { take(p, 4, 4); }\nvoid h(void *p) { take(p, __LINE__, 6); }"
	a, b := compile(t, pre), compile(t, post)
	d, err := Compare(a, b)
	require.NoError(t, err)
	require.Equal(t, map[string]Status{"f": Changed, "g": Changed, "h": Changed}, changes(d))

	info, err := ReadDebugInfo(debugged(t, pre), "")
	require.NoError(t, err)
	moved := info.Within(func(file string, line int) (int, bool) { return line + 1, true })
	d, err = CompareMoved(a, b, moved)
	require.NoError(t, err)
	// In g the constant moved as the lines did, but is no line of g.
	require.Equal(t, map[string]Status{"g": Changed, "h": Changed}, changes(d))
	require.Equal(t, []string{"f"}, d.LineOnly)
}
