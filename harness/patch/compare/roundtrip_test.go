// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"debug/elf"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// everything selects all code of an object as if each function had changed.
func everything(t *testing.T, o *object.Object) *Selection {
	t.Helper()
	d, err := Compare(o, o)
	require.NoError(t, err)
	require.True(t, d.Empty(), "%+v", d)
	s := &selector{Difference: d, hooked: map[*atom]bool{}, included: map[*atom]bool{}, kept: map[string]bool{}}
	for _, b := range d.post.atoms {
		if _, part := cold(b.name()); b.code && len(b.symbols) > 0 && !part && !boot(b.section.Name) {
			s.hooked[b] = true
			s.include(b)
		}
	}
	s.close()
	require.NoError(t, s.refused.ErrorOrNil())
	made, err := s.extract()
	require.NoError(t, err)
	return made
}

// means writes what a reference is about in words that are the same wherever
// it lies.
func means(u *unit, r *ref) string {
	switch {
	case r.section == nil:
		name, _ := stem(r.symbol.Name)
		at := r.addend + r.bias
		return fmt.Sprintf("%s%+d", name, at)
	case r.entry != nil:
		return fmt.Sprintf("entry %s%+d", r.section.Name, r.place-int64(r.entry.start))
	case u.kinds[r.section] == merged:
		return fmt.Sprintf("%q", r.constant())
	case r.target.name() != "":
		name, _ := stem(r.target.name())
		return fmt.Sprintf("%s%+d", name, r.place-int64(r.target.start))
	}
	return fmt.Sprintf("%s %x", r.section.Name, r.target.bytes())
}

// same holds that what was taken says what it said: bytes, references and
// entries of the tables, function by function.
func roundTrip(t *testing.T, post *object.Object, s *Selection) {
	t.Helper()
	sound(t, s)
	whole, part := take(post), take(s.Object)
	byName := map[string]*atom{}
	for _, a := range whole.atoms {
		if len(a.symbols) > 0 {
			byName[a.name()] = a
		}
	}
	compared := 0
	for _, a := range part.atoms {
		if len(a.symbols) == 0 {
			continue
		}
		b := byName[a.name()]
		require.NotNil(t, b, a.name())
		require.Equal(t, b.section.Name, a.section.Name)
		require.True(t, bytes.Equal(a.bytes(), b.bytes()), a.name())
		require.Equal(t, a.section.Flags&^elf.SHF_GROUP, b.section.Flags&^elf.SHF_GROUP)
		if align := max(b.section.Align, 1); a.start%align != b.start%align {
			t.Errorf("%s is at %#x of what it was at %#x, for an alignment of %d", a.name(), a.start, b.start, align)
		}
		list := func(u *unit, of *atom) []string {
			var all []string
			for i := range of.refs {
				all = append(all, fmt.Sprintf("%#x %v %s", of.refs[i].at, of.refs[i].typ, means(u, &of.refs[i])))
			}
			for _, e := range of.entries {
				if e.made {
					continue
				}
				line := fmt.Sprintf("%s %#x %x", e.section.Name, e.at, e.content())
				for i := range e.refs {
					line += fmt.Sprintf(" %#x %v %s", e.refs[i].at, e.refs[i].typ, means(u, &e.refs[i]))
				}
				all = append(all, line)
			}
			return all
		}
		require.Equal(t, list(whole, b), list(part, a), a.name())
		compared++
	}
	require.GreaterOrEqual(t, compared, len(s.Patched))
}

func TestRoundTrip(t *testing.T) {
	for name, source := range map[string]string{
		"strings":              `void f(int a) { printk("one"); printk(a ? "two" : "three"); } void g(void) { printk("one"); }`,
		"static data":          `static int n; static int m = 5; static noinline int h(void) { static int c; return ++c + n++ + m; } int f(void) { return h() + h(); } int g(void (**p)(void)) { *p = (void *)h; return m; }`,
		"warnings":             `int f(int a) { WARN_ON_ONCE(a == 3); WARN_ON_ONCE(a == 5); return a; } int g(int a) { WARN_ON_ONCE(a); return random(); }`,
		"one section":          `__attribute__((section(".sched.text"))) int f(int a) { return random() + a; } __attribute__((section(".sched.text"))) int g(int a) { return f(a) + 1; } __attribute__((section(".sched.text"))) noinline static int h(void) { return random(); } int i(void) { return h() + f(2) + h(); }`,
		"constants":            `float f(int a) { return a * 1.5f; } double g(double a) { return a * 3.25; } __int128 h(__int128 *p) { return *p; }`,
		"flags in one section": `static char __attribute__((section(".data.once"))) a, b, c, d; void f(int x) { if (x) b = 7; else { c = 9; *(volatile char *)&d = 3; } } int g(void) { return a + b + c + d; }`,
		"unlikely":             `extern void die(const char *) __attribute__((cold, noreturn)); int f(int a) { if (a > 5) { printk("1"); die("a"); } return random(); } int g(int a) { return f(a) + f(a + 1); }`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, flags := range [][]string{nil, {"-fpatchable-function-entry=16,16"}, {"-fno-function-sections", "-fno-data-sections"}} {
				o := compile(t, source, append(flags, "-msse2")...)
				roundTrip(t, o, everything(t, o))
			}
		})
	}
}
