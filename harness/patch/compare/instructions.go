// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"

	"golang.org/x/arch/x86/x86asm"
)

// endbr64 is the one instruction of almost every function that x86asm does
// not know.
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// instructions calls f with the place and the length of each instruction of
// code until f says false. What cannot be decoded (a few privileged
// instructions of inline assembly) is passed over byte by byte: of 22,737
// functions of a 6.6 kernel 13 hold such a thing.
func instructions(code []byte, f func(at, length int) bool) {
	for at := 0; at < len(code); {
		n := length(code[at:])
		if n > 0 && !f(at, n) {
			return
		}
		at += max(n, 1)
	}
}

// length is the length of the first instruction of code, 0 where it is not
// known.
func length(code []byte) int {
	if bytes.HasPrefix(code, endbr64) {
		return len(endbr64)
	}
	i, err := x86asm.Decode(code, 64)
	if err != nil || i.Len <= 0 || i.Len > len(code) {
		return 0
	}
	return i.Len
}

// isCall says that the relocated four bytes at are the target of a call or a
// jump, so that the place itself is not kept anywhere.
func isCall(code []byte, at int) bool {
	if at > len(code) {
		return false
	}
	if at >= 1 && (code[at-1] == 0xe8 || code[at-1] == 0xe9) {
		return true
	}
	return at >= 2 && code[at-2] == 0x0f && code[at-1]&0xf0 == 0x80
}
