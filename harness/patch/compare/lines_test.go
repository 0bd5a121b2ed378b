// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"debug/elf"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// TestOnlyLines holds what may stand between a line number and the call that
// takes it. LL is the byte that differs, a call's last four bytes are open.
func TestOnlyLines(t *testing.T) {
	for _, c := range []struct {
		name, code, callee string
		line               bool
	}{
		{"at once", "be LL000000 e800000000", "__might_sleep", true},
		{"a jump that is a call", "be LL000000 e900000000", "__might_sleep", true},
		{"another argument after it", "be LL000000 bf01000000 e800000000", "__might_sleep", true},
		{"a register saved after it", "be LL000000 53 e800000000", "__might_sleep", true},
		{"the stack given back after it", "be LL000000 4883c408 e900000000", "__might_sleep", true},
		{"the third argument", "ba LL000000 e800000000", "__ext4_error", true},
		{"another register", "bf LL000000 e800000000", "__might_sleep", false},
		{"another function", "be LL000000 e800000000", "msleep", false},
		{"overwritten", "be LL000000 89c6 e800000000", "__might_sleep", false},
		{"overwritten by a constant", "be LL000000 be05000000 e800000000", "__might_sleep", false},
		{"overwritten in part", "be LL000000 40b605 e800000000", "__might_sleep", false},
		{"a condition between", "be LL000000 7500 e800000000", "__might_sleep", false},
		{"a return between", "be LL000000 c3 e800000000", "__might_sleep", false},
		{"an unknown instruction between", "be LL000000 0f0b e800000000", "__might_sleep", false},
		{"no call", "be LL000000 c3", "", false},
		{"not loaded", "83fe LL e800000000", "__might_sleep", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			make := func(line string) *atom {
				code, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(c.code, "LL", line), " ", ""))
				require.NoError(t, err)
				s := &object.Section{Name: ".text", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Size: uint64(len(code)), Data: code}
				a := &atom{section: s, end: s.Size, code: true}
				if c.callee != "" {
					a.refs = []ref{{at: int64(len(code) - 4), typ: elf.R_X86_64_PLT32, symbol: &object.Symbol{Name: c.callee}, addend: -4, bias: 4, call: true}}
				}
				return a
			}
			cmp := &comparison{pairing: &pairing{pre: &unit{file: "a.c"}}}
			at, lines := cmp.onlyLines(make("0a"), make("0d"))
			require.Equal(t, c.line, lines)
			require.Equal(t, c.line, at < 0)

			// As the lines moved, whatever is called: by three.
			cmp.moved = func(file, _ string, line int) (int, bool) { return line + 3, file == "a.c" }
			_, lines = cmp.onlyLines(make("0a"), make("0d"))
			require.Equal(t, c.line || c.name == "another function" || c.name == "another register", lines)
			_, lines = cmp.onlyLines(make("0a"), make("0e"))
			require.Equal(t, c.line, lines)
		})
	}
}
