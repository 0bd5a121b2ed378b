// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// mutated is a source with what makes a comparison hard: jumps that the
// assembler shortens, padded loops, a cold part, strings, a static variable.
const mutated = `
int p(int); int say(const char *, int); __attribute__((cold)) int c(int);
static int calls;
__attribute__((noipa)) static int n(int x) { calls += x; return p(x) + say("called", calls); }
int loop(int *v, int k) { int s = 0; for (int i = 0; i < k; i++) { s += v[i] * 3; if (s > 100) s -= p(s); } return s; }
int f(int x) { if (x == 5) return n(x); if (x > 3) x += c(x) + say("cold", x); return n(x + 1); }
`

// TestOneByte holds that one byte of a function's code that is not as in the
// kernel is a refusal that names the function and a place in the instruction
// or before it.
func TestOneByte(t *testing.T) {
	flags := "-foptimize-sibling-calls -falign-loops=32"
	im := kernelOf(t, files{"a.c": "int before(int x) { return x; }", "b.c": mutated}, flags)
	data := compile(t, files{"x.c": mutated}, "gcc-14 "+small+" "+flags+" -ffunction-sections -fdata-sections -c -o x.o x.c")
	report, err := Match(read(t, "pre", data), im, "m")
	require.NoError(t, err)
	for _, f := range report.Functions {
		require.True(t, f.OK, "%s: %s", f.Name, f.Why)
	}
	rapid.Check(t, func(t *rapid.T) {
		pre, err := object.Read("pre", bytes.NewReader(data))
		require.NoError(t, err)
		functions := newMatcher(pre, im, im.modules["m"]).functions()
		f := functions[rapid.IntRange(0, len(functions)-1).Draw(t, "function")]
		at := rapid.IntRange(0, len(f.code)-1).Draw(t, "offset")
		bit := rapid.IntRange(0, 7).Draw(t, "bit")
		for _, r := range f.relocs {
			if n, _ := width(r.Type); uint64(at)+f.symbol.Value >= r.Offset && uint64(at)+f.symbol.Value < r.Offset+uint64(n) {
				t.Skip("the linker fills it in")
			}
		}
		if within(t, f.code, at) {
			t.Skip("padding")
		}
		f.code[at] ^= 1 << bit
		report, err := Match(pre, im, "m")
		require.NoError(t, err)
		got := report.Function(f.symbol.Name)
		require.False(t, got.OK, "bit %d of %s+%#x", bit, f.symbol.Name, at)
		require.LessOrEqual(t, got.Offset, uint64(at))
		require.Less(t, uint64(at)-got.Offset, uint64(15), "an instruction is no longer")
		require.ErrorContains(t, got.Refusal("x.c", "1.2.3"), f.symbol.Name+"+")
	})
}

// within says that offset at of code is in a no-op.
func within(t require.TestingT, code []byte, at int) bool {
	for i := 0; i <= at; {
		in, err := decode(code[i:])
		require.NoError(t, err)
		if at < i+in.length {
			return isNop(code[i : i+in.length])
		}
		i += in.length
	}
	return false
}
