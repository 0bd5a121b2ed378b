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
		{"untraced file", "int notrace f(void) { return 1; }", "int notrace f(void) { return 2; }", refusal.NoFentry, "f(): has no call of __fentry__"},
		{"a constant of the running kernel", "long f(void) { return runtime_const(hash); }", "long f(void) { return runtime_const(hash) + 1; }", refusal.Special, "f(): holds a constant that the kernel writes"},
		{"only what is unused goes", "int f(void) { return 1; } static int __attribute__((used)) g(void) { return 2; }", "int f(void) { return 1; }", refusal.NoEffect, "only what nothing uses"},
		{"static locals of one name", "int f(int a) { if (a) { static int n; return n++; } return 0; }", "int f(int a) { if (a) { static int n; return n++; } else { static int n; return ++n + random(); } }", refusal.Ambiguous, "several static variables named n"},
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
