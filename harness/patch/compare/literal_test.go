// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// TestLiterals: constants within functions are known by what they hold, so that
// one of several of one name can be added, changed or taken away.
func TestLiterals(t *testing.T) {
	say := func(text string) string {
		return `{ static const char __msg[] = "` + text + `"; p->msg = __msg; }`
	}
	whole := func(body string) string {
		return "struct ack { const char *msg; long n; };\n" +
			"void g(struct ack *p) { if (p->n == 9) " + say("of g") + " }\n" +
			"void f(struct ack *p)\n{\n" + body + "\n}\n"
	}
	one, two := "if (p->n == 1) "+say("one"), "if (p->n == 2) "+say("two")
	for _, c := range []struct {
		name, pre, post string
		olds, made      []string
	}{
		{"one more", one, one + two, []string{"__msg*"}, []string{"__msg"}},
		{"before the other", one, two + one, []string{"__msg*"}, []string{"__msg"}},
		{"another text", one, "if (p->n == 1) " + say("another"), nil, []string{"__msg"}},
		{"another text of the same length", one, "if (p->n == 1) " + say("eno"), nil, []string{"__msg"}},
		{"another text of two", one + two, one + "if (p->n == 2) " + say("three"), []string{"__msg*"}, []string{"__msg"}},
		{"turned around", one + two, two + one + "p->n = 7;", []string{"__msg*", "__msg*"}, nil},
		{"one less", one + two, two, []string{"__msg*"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := selection(t, whole(c.pre), whole(c.post))
			require.NoError(t, err)
			defined, undefined := names(s)
			var made, olds []string
			for _, n := range defined {
				if n == "__msg" {
					made = append(made, n)
				}
			}
			for _, n := range undefined {
				if n == "__msg*" {
					olds = append(olds, n)
				}
			}
			require.Equal(t, c.made, made)
			require.Equal(t, c.olds, olds)
			require.Equal(t, []string{"f"}, s.Patched)
		})
	}
	// What can be written to keeps its value, and then its place counts.
	variable := func(n string) string { return "if (p->n == " + n + ") { static long seen = 5; p->n += seen++; }" }
	_, err := selection(t, whole("static long seen = 5; p->n = seen++;"), whole("static long seen = 6; p->n = seen++;"))
	require.Equal(t, refusal.Data, refusal.All(err)[0].Code)
	_, err = selection(t, whole(variable("1")), whole(variable("2")+variable("1")))
	require.Equal(t, refusal.Ambiguous, refusal.All(err)[0].Code)
}
