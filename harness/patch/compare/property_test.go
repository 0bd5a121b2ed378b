// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// generated is a unit of functions that know each other, strings, static data,
// static locals and the kernel's tables. Which differ is chosen by changed; in
// which order they stand, how many lines are between, by r.
func generated(r *rand.Rand, bodies []int, changed []bool) string {
	var s strings.Builder
	for i := range bodies {
		fmt.Fprintf(&s, "static volatile int state%d; static int table%d[8] = { %d, 2 }; static int fn%d(int);\n", i, i, i, i)
	}
	for _, i := range r.Perm(len(bodies)) {
		s.WriteString(strings.Repeat("\n", r.IntN(4)))
		n := 10 * i
		if changed[i] {
			n++
		}
		other := (i + 1) % len(bodies)
		body := []string{
			"state%[1]d += %[2]d; return fn%[3]d(a) + state%[3]d;",
			"static int seen; seen++; printk(\"%[1]d saw %%d of %[2]d\", seen); return fn%[3]d(seen);",
			"WARN_ON_ONCE(a == %[2]d); state%[3]d = table%[1]d[a & 7]; return fn%[3]d(2);",
			"pr_debug(\"fn\"); ALTERNATIVE(\"mov $%[2]d, %%%%eax\"); return a + fn%[3]d(state%[1]d);",
			"static int seen; call((void *)fn%[3]d); return seen += %[2]d + a;",
			"printk(\"%%s\", __func__); return static_branch((struct key *)&state%[3]d) ? %[2]d : table%[1]d[a];",
		}[bodies[i]]
		fmt.Fprintf(&s, "static __attribute__((noipa, used)) int fn%[1]d(int a) { "+body+" }\n", i, n, other)
	}
	s.WriteString("int entry(int a) { return fn0(a); }\n")
	return s.String()
}

// TestExactlyTheChanged changes a part of the functions of generated units and
// moves all of them: found is what was changed, and nothing else.
func TestExactlyTheChanged(t *testing.T) {
	for range 8 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		n := 4 + r.IntN(12)
		bodies, none, some := make([]int, n), make([]bool, n), make([]bool, n)
		for i := range bodies {
			bodies[i] = r.IntN(6)
			some[i] = r.IntN(3) == 0
		}
		var want []string
		for i := range some {
			if some[i] {
				want = append(want, fmt.Sprintf("fn%d", i))
			}
		}
		slices.Sort(want)
		pre, post := compile(t, generated(r, bodies, none)), compile(t, generated(r, bodies, some))
		d, err := Compare(pre, post)
		require.NoError(t, err)
		var got []string
		for _, f := range d.Functions {
			got = append(got, f.Name)
		}
		require.Equal(t, want, got, "seed %d: %+v", seed, d.Functions)
		require.Empty(t, d.Data, "seed %d", seed)
		if len(want) == 0 {
			continue
		}
		s, err := Select(pre, post, d)
		require.NoError(t, err, "seed %d", seed)
		roundTrip(t, post, s)
		require.Equal(t, want, s.Patched, "seed %d", seed)
	}
}
