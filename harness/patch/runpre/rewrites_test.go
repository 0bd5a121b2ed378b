// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTrampolinesOfTheFileItself holds that calls by a static call's trampoline
// are taken for rewritten also in the file that defines it, as one with
// CREATE_TRACE_POINTS or DEFINE_STATIC_CALL does: the booting kernel makes a
// call of the function itself of each.
func TestTrampolinesOfTheFileItself(t *testing.T) {
	const code = "void __SCT__there(void); void other(void); void f(void) { __SCT__there(); other(); }"
	for name, source := range map[string]string{
		"of another file": code,
		"of the file": code + `
asm(".pushsection .static_call.text,\"ax\"; .globl __SCT__there; .type __SCT__there,@function; __SCT__there: jmp.d32 other; .size __SCT__there, . - __SCT__there; .popsection");`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := preOf(t, source, "")
			s := o.Section(".text.f")
			require.NotNil(t, s)
			var want []Range
			for _, r := range s.Relocs {
				if r.Symbol.Name == "__SCT__there" || r.Symbol.Name == "__fentry__" {
					want = append(want, Range{int(r.Offset) - 1, int(r.Offset) + 4})
				}
			}
			require.Len(t, want, 2)
			require.Equal(t, want, rewrites(o)[s], "and not the call of other()")
		})
	}
}
