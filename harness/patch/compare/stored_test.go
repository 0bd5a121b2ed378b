// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStored: which addresses of its own data a patch's code leaves behind.
func TestStored(t *testing.T) {
	const head = `
struct named { const char *name; const void *data; long n; } *last;
void give(struct named *), use(const char *), *keep(void);
`
	for _, c := range []struct {
		name, pre, post string
		want            []Stored
	}{
		{"a string", "p->n = 1;", `p->name = "a new name";`, []Stored{{"f", `"a new name"`}}},
		{"of two, one", "p->n = 1;", `p->n = 2; last->name = "kept"; use("used");`, []Stored{{"f", `"kept"`}}},
		{"a long string", "p->n = 1;", `p->name = "0123456789012345678901234567890123456789 and more";`, []Stored{{"f", `"0123456789012345678901234567890123456789"…`}}},
		{"new data", "p->n = 1;", "static long own[4]; own[p->n]++; p->data = own;", []Stored{{"f", "own"}}},
		{"through a register", "p->n = 1;", `const char *s = "twice"; last->name = s; p->name = s;`, []Stored{{"f", `"twice"`}}},
		{"behind a call", "p->n = 1;", `const char *s = "behind"; use(s); p->name = s;`, []Stored{{"f", `"behind"`}}},
		{"to what is global", "p->n = 1;", `static struct named named; last->data = &named;`, []Stored{{"f", "named"}}},
		{"handed on", "p->n = 1;", `use("used");`, nil},
		{"on the stack", "p->n = 1;", `struct named here = { "on the stack" }; give(&here);`, nil},
		{"in the patch's own", "p->n = 1;", `static struct named own; own.name = "own"; give(&own);`, nil},
		{"the kernel's own", "p->n = (long)old;", "p->data = old;", nil},
		{"chosen by the caller", "p->n = 1;", `const char *s = (const char *)p->n; if (p->data) s = "perhaps"; p->name = s;`, nil},
		{"read", "p->n = 1;", "static long own[4]; p->n = own[p->n];", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := func(body string) string {
				return head + "static long old[4]; long *of(void) { return old; }\nvoid f(struct named *p)\n{\n" + body + "\n}\n"
			}
			s, err := selection(t, whole(c.pre), whole(c.post))
			require.NoError(t, err)
			require.Equal(t, c.want, s.Stored)
		})
	}
}
