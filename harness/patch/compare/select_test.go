// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"debug/elf"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

func selection(t *testing.T, pre, post string) (*Selection, error) {
	t.Helper()
	a, b := compile(t, pre), compile(t, post)
	d, err := Compare(a, b)
	require.NoError(t, err)
	s, err := Select(a, b, d)
	if err == nil {
		sound(t, s)
	}
	return s, err
}

// sound holds what is true of every selection.
func sound(t *testing.T, s *Selection) {
	t.Helper()
	for _, section := range s.Object.Sections {
		if section.Type != elf.SHT_NOBITS {
			require.Len(t, section.Data, int(section.Size), section.Name)
		}
		if section.Flags&elf.SHF_LINK_ORDER != 0 {
			require.Contains(t, s.Object.Sections, section.Linked, section.Name)
		}
		for _, r := range section.Relocs {
			require.Less(t, r.Offset, section.Size)
			require.Contains(t, s.Object.Symbols, r.Symbol, "%s refers to a symbol that is not in the object", section.Name)
		}
	}
	for _, y := range s.Object.Symbols {
		if y.Section != nil {
			require.Contains(t, s.Object.Sections, y.Section)
			require.LessOrEqual(t, y.Value+y.Size, y.Section.Size, y.Name)
		}
	}
	for undefined := range s.Olds {
		require.True(t, undefined.Undefined())
		require.Contains(t, s.Object.Symbols, undefined)
	}
	for _, p := range s.Patched {
		require.True(t, slices.ContainsFunc(s.Object.Symbols, func(y *object.Symbol) bool { return y.Name == p && y.Section != nil && y.Type == elf.STT_FUNC }), p)
	}
}

// defined and undefined names of a selection, sorted; of the second those of
// Olds with a star.
func names(s *Selection) (defined, undefined []string) {
	for _, y := range s.Object.Symbols {
		switch {
		case y.Type == elf.STT_SECTION || y.Type == elf.STT_FILE:
		case y.Section != nil:
			n, _ := stem(y.Name)
			defined = append(defined, n)
		default:
			n, _ := stem(y.Name)
			if s.Olds[y] != nil {
				n += "*"
			}
			undefined = append(undefined, n)
		}
	}
	slices.Sort(defined)
	slices.Sort(undefined)
	return defined, undefined
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		name                        string
		pre, post                   string
		patched, defined, undefined []string
		sections                    []string // beyond code
	}{{
		name:    "what cannot be hooked, by its callers",
		pre:     "static noinline notrace int f(int a) { return a * 3 + 1; } int g(int a) { return f(a); } int h(int a) { return f(a) + 1; } int i(int a) { return a; }",
		post:    "static noinline notrace int f(int a) { return a * 3 + 2; } int g(int a) { return f(a); } int h(int a) { return f(a) + 1; } int i(int a) { return a; }",
		patched: []string{"g", "h"}, defined: []string{"f", "g", "h"}, undefined: []string{"__fentry__"}, sections: []string{"__mcount_loc"},
	}, {
		name: "one function", pre: "int f(int a) { return a + 1; }", post: "int f(int a) { return a + 2; }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__fentry__"}, sections: []string{"__mcount_loc"},
	}, {
		name:    "what is static is the kernel's",
		pre:     "static int n; static noinline int help(int a) { return random() + a; } int f(int a) { n++; return help(a) + 1; } int g(void) { return help(n); }",
		post:    "static int n; static noinline int help(int a) { return random() + a; } int f(int a) { n++; return help(a) + 2; } int g(void) { return help(n); }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__fentry__", "help*", "n*"}, sections: []string{"__mcount_loc"},
	}, {
		name:    "new things come along",
		pre:     "int f(int a) { return a; }",
		post:    "static int seen; static noinline int help(int a) { return random() + a + seen++; } int f(int a) { printk(\"new %d\", seen); return help(a); }",
		patched: []string{"f"}, defined: []string{"f", "help", "seen"}, undefined: []string{"__fentry__", "printk", "random"}, sections: []string{".bss.seen", ".rodata.f.str1.1", "__mcount_loc"},
	}, {
		name:    "an address that is kept",
		pre:     "static noinline void g(void) { printk(\"1\"); } void f(void) { g(); call(g); }",
		post:    "static noinline void g(void) { printk(\"2\"); } void f(void) { g(); call(g); random(); }",
		patched: []string{"f", "g"}, defined: []string{"f", "g"}, undefined: []string{"__fentry__", "call", "g*", "printk", "random"}, sections: []string{".rodata.g.str1.1", "__mcount_loc"},
	}, {
		name:    "once flags and tables",
		pre:     "void g(int a) { WARN_ON_ONCE(a == 1); } void f(int a) { WARN_ON_ONCE(a == 2); }",
		post:    "void g(int a) { WARN_ON_ONCE(a == 1); } void f(int a) { WARN_ON_ONCE(a == 3); }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__already_done*", "__fentry__"}, sections: []string{".rodata.str1.1", "__bug_table", "__mcount_loc"},
	}, {
		name:    "flags beside each other, written with a constant",
		pre:     "#define s static char __attribute__((section(\".flags\")))\ns a, b, c, d; int g(void) { return a + b + c + d; } void f(int x) { if (x) c = 9; } void h(int x) { if (x) a = b = d = 9; }",
		post:    "#define s static char __attribute__((section(\".flags\")))\ns a, b, c, d; int g(void) { return a + b + c + d; } void f(int x) { if (x > 1) c = 9; } void h(int x) { if (x) a = b = d = 9; }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__fentry__", "c*"}, sections: []string{"__mcount_loc"},
	}, {
		name:    "several once flags in a changed function",
		pre:     "void f(int a) { WARN_ON_ONCE(a == 2); WARN_ON_ONCE(a == 3); }",
		post:    "void f(int a) { WARN_ON_ONCE(a == 2); WARN_ON_ONCE(a == 3); random(); WARN_ON_ONCE(a == 4); }",
		patched: []string{"f"}, defined: []string{"__already_done", "f"}, undefined: []string{"__already_done*", "__already_done*", "__fentry__", "random"}, sections: []string{".data.once", ".rodata.str1.1", "__bug_table", "__mcount_loc"},
	}, {
		name:    "its own address",
		pre:     "void f(void) { call(f); }",
		post:    "void f(void) { random(); call(f); }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__fentry__", "call", "f*", "random"}, sections: []string{"__mcount_loc"},
	}, {
		name:    "changed ones call each other",
		pre:     "static __attribute__((noipa)) int g(int a) { return a + 1; } int f(int a) { return g(a) + 1; }",
		post:    "static __attribute__((noipa)) int g(int a) { return a + 2; } int f(int a) { return g(a) + 2; }",
		patched: []string{"f", "g"}, defined: []string{"f", "g"}, undefined: []string{"__fentry__"}, sections: []string{"__mcount_loc"},
	}, {
		name:    "the unlikely part alone",
		pre:     "extern void warn(const char *) __attribute__((cold)); int f(int a) { if (a > 5) { warn(\"w\"); warn(\"1\"); printk(\"%d\", a); } return random(); }",
		post:    "extern void warn(const char *) __attribute__((cold)); int f(int a) { if (a > 5) { warn(\"w\"); warn(\"2\"); printk(\"%d\", a); } return random(); }",
		patched: []string{"f"}, defined: []string{"f", "f.cold"}, undefined: []string{"__fentry__", "printk", "random", "warn"}, sections: []string{".rodata.str1.1", "__mcount_loc"},
	}, {
		name:    "what objtool makes",
		pre:     "void f(void) { RETURN_SITE; }",
		post:    "void f(void) { RETURN_SITE; random(); }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__fentry__", "random"}, sections: []string{"__mcount_loc"},
	}, {
		name:    "a constant that the kernel writes when it starts",
		pre:     "long f(void) { return runtime_const(hash); } long g(void) { return runtime_const(hash); }",
		post:    "long f(void) { return runtime_const(hash) + 1; } long g(void) { return runtime_const(hash); }",
		patched: []string{"f"}, defined: []string{"f"}, undefined: []string{"__fentry__"}, sections: []string{"__mcount_loc", "runtime_ptr_hash"},
	}} {
		t.Run(c.name, func(t *testing.T) {
			s, err := selection(t, c.pre, c.post)
			require.NoError(t, err)
			require.Equal(t, c.patched, s.Patched)
			defined, undefined := names(s)
			require.Equal(t, c.defined, defined)
			require.Equal(t, c.undefined, undefined)
			var sections []string
			for _, x := range s.Object.Sections {
				if x.Flags&elf.SHF_EXECINSTR == 0 {
					// Where gcc puts a function's strings is a matter of its version.
					name := x.Name
					if strings.HasPrefix(name, ".rodata.str") {
						name = ".rodata.str1.1"
					}
					sections = append(sections, name)
				}
			}
			slices.Sort(sections)
			t.Log(sections)
			require.Len(t, sections, len(c.sections))
		})
	}
}

func TestSelectRefuses(t *testing.T) {
	for _, c := range []struct {
		name, pre, post string
		code            refusal.Code
		says            string
	}{
		{"nothing", "int f(void) { return 1; }", "// so\nint f(void) { return 1; }", refusal.NoEffect, "nothing that is built changes"},
		{"data", "int n = 3; int f(void) { return n; }", "int n = 4; int f(void) { return n; }", refusal.Data, "the data of n changes"},
		{"an export", "int f(void) { return 1; }", "int f(void) { return 1; } EXPORT_SYMBOL(f);", refusal.Exports, "f(): is exported newly"},
		{"init", "int __init f(void) { return 1; }", "int __init f(void) { return 2; }", refusal.InitExit, "f(): is init code"},
		{"notrace", "int g(void) { return 1; } int notrace f(void) { return 1; }", "int g(void) { return 1; } int notrace f(void) { return 2; }", refusal.NoTrace, "f(): has no call of __fentry__"},
		{"notrace, and its address is kept", "static noinline notrace void f(void) { printk(\"1\"); } void g(void) { f(); call(f); }", "static noinline notrace void f(void) { printk(\"2\"); } void g(void) { f(); call(f); }", refusal.NoTrace, "f(): has no call of __fentry__"},
		{"an entry of a list", "int f(void) { return 1; }", "static int __attribute__((used, section(\"__param\"))) p = 3; int f(void) { return 2; }", refusal.Special, "p adds to the list in section __param"},
		{"untraced file", "int notrace f(void) { return 1; }", "int notrace f(void) { return 2; }", refusal.NoFentry, "f(): has no call of __fentry__"},
		{"a check of indirect calls", "void f(void) { KCFI; }", "void f(void) { KCFI; random(); }", refusal.Special, "f(): has a check of an indirect call"},
		{"only what is unused goes", "int f(void) { return 1; } static int __attribute__((used)) g(void) { return 2; }", "int f(void) { return 1; }", refusal.NoEffect, "only what nothing uses"},
		{"static locals of one name", "int f(int a) { if (a) { static int n; return n++; } return 0; }", "int f(int a) { if (a) { static int n; return n++; } else { static int n; return ++n + random(); } }", refusal.Ambiguous, "several static variables named n"},
		{"static locals that may have changed places", "int f(int a) { if (a) { static int n; return n++; } else { static int n; return n += 2; } }", "int f(int a) { if (!a) { static int n; return n += 3; } else { static int n; return n++; } }", refusal.Ambiguous, "several static variables named n"},
		{"list", "int f(void) { return 1; }", "int f(void) { return 2; } asm(\".section __list,\\\"a\\\"\\n.quad f\\n.previous\");", refusal.Special, "section __list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := selection(t, c.pre, c.post)
			var r *refusal.Refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, c.code, r.Code)
			require.Equal(t, "unit.c", r.File)
			require.Contains(t, err.Error(), c.says)
		})
	}
	_, err := selection(t, "int n = 3; int notrace f(void) { return n; }", "int n = 4; int notrace f(void) { return n + 1; }")
	var several *multierror.Error
	require.True(t, errors.As(err, &several), "%v", err)
	require.Len(t, several.Errors, 2)
}

// TestRuntimeConstants: the places of constants that the kernel writes come
// along with their function, and those of others do not.
func TestRuntimeConstants(t *testing.T) {
	s, err := selection(t, "long f(void) { return runtime_const(hash); } long g(void) { return runtime_const(hash); }",
		"long f(void) { return runtime_const(hash) + 1; } long g(void) { return runtime_const(hash); }")
	require.NoError(t, err)
	places := s.Object.Section("runtime_ptr_hash")
	require.NotNil(t, places)
	require.EqualValues(t, 4, places.Size)
	require.Len(t, places.Relocs, 1)
	require.Equal(t, ".text.f", places.Relocs[0].Symbol.Section.Name)
}

func TestKept(t *testing.T) {
	s, err := selection(t,
		"void f(void) { random(); }",
		"static void new(void) { printk(\"n\"); } static noinline void called(void) { printk(\"c\"); } void f(void) { called(); call(new); }")
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, s.Kept)
}

func TestKeys(t *testing.T) {
	s, err := selection(t,
		`static struct key a; extern struct key b; void __SCT__call(void); int f(void) { return static_branch(&a) + static_branch(&b); } void g(void) { __SCT__call(); pr_debug("g"); }`,
		`static struct key a; extern struct key b; void __SCT__call(void); int f(void) { return static_branch(&a) + static_branch(&b) + 1; } void g(void) { __SCT__call(); random(); pr_debug("g"); }`)
	require.NoError(t, err)
	var keys []string
	for _, k := range s.Keys {
		whose := "elsewhere"
		if s.Olds[k.Symbol] != nil {
			whose = "of the unit"
		} else if !k.Symbol.Undefined() {
			whose = "comes along"
		}
		n, _ := stem(k.Symbol.Name)
		keys = append(keys, string(k.Kind)+" "+k.Function+" "+n+" "+whose)
	}
	slices.Sort(keys)
	require.Equal(t, []string{"static call g __SCT__call elsewhere", "static key f a of the unit", "static key f b elsewhere", "static key g __UNIQUE_ID_ddebug comes along"}, keys)
}

func TestInlined(t *testing.T) {
	const pre, post = "static inline int help(int a) { return a + 1; } int __init f(int a) { return help(a); } int g(void) { return 1; }", "static inline int help(int a) { return a + 2; } int __init f(int a) { return help(a); } int g(void) { return 1; }"
	for _, c := range []struct {
		touched []string
		says    string
	}{
		{[]string{"help"}, "unit.c: help(): has no copy that stands alone; it is inlined into f(), which is init code"},
		{[]string{"help", "other"}, "unit.c: f(): one of help(), other() is inlined into it, and it is init code"},
		{[]string{"f", "help"}, "unit.c: f(): is init code"},
		{[]string{"g"}, "unit.c: f(): is init code"},
		{nil, "unit.c: f(): is init code"},
	} {
		a, b := compile(t, pre), compile(t, post)
		d, err := Compare(a, b)
		require.NoError(t, err)
		_, err = Select(a, b, d)
		all := refusal.All(err)
		require.Len(t, all, 1)
		d.Inlined(c.touched, all)
		require.Contains(t, all[0].Error(), c.says)
		require.Equal(t, strings.Contains(c.says, "inlined"), all[0].Code == refusal.Inlined)
	}
}

// TestWanted: data that is new here and used elsewhere in the patch comes along,
// and nothing else that is new.
func TestWanted(t *testing.T) {
	const pre = "int f(void) { return 1; }\n"
	const post = pre + "int shared[2] = { 40, 2 }; int unused = 1; static int own = 2; int *const pointer = &shared[1];\n"
	a, b := compile(t, pre), compile(t, post)
	for _, c := range []struct{ wanted, made []string }{
		{nil, nil},
		{[]string{"shared", "f", "nowhere"}, []string{"shared"}},
		{[]string{"pointer"}, []string{"pointer", "shared"}},
		{[]string{"own"}, nil},
	} {
		d, err := Compare(a, b)
		require.NoError(t, err)
		s, err := Select(a, b, d, c.wanted...)
		if c.made == nil {
			require.Equal(t, refusal.NoEffect, refusal.All(err)[0].Code, "%v", c.wanted)
			continue
		}
		require.NoError(t, err)
		sound(t, s)
		made, _ := names(s)
		require.Equal(t, c.made, made)
		require.Empty(t, s.Patched)
	}
}
