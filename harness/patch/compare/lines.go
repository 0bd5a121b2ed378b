// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// Moved says which line of the file after the change a line before it became;
// false where that line is gone. file is as the object has it: without
// folders.
type Moved func(file string, line int) (int, bool)

// lineTakers are functions that take a line number of the source as their
// second argument: what differs there is __LINE__ and nothing else. From the
// kernel's headers: might_sleep() and might_fault() with their relatives,
// RCU's complaints, WARN() where it is a call.
var lineTakers = map[string]bool{
	"__might_sleep": true, "___might_sleep": true, "__might_resched": true, "__might_fault": true,
	"__cant_sleep": true, "__cant_migrate": true, "lockdep_rcu_suspicious": true,
	"warn_slowpath_fmt": true, "warn_slowpath_null": true, "warn_slowpath_fmt_taint": true,
}

// second is the register of the second argument.
const second = 6

// load is an instruction that puts a constant into a 32-bit register.
type load struct {
	at       int // of the constant
	register int // as encoded, 0 to 15
}

// loadOf says that an instruction is mov $constant,%register.
func loadOf(code []byte) (load, bool) {
	if len(code) == 5 && code[0]&0xf8 == 0xb8 {
		return load{at: 1, register: int(code[0] & 7)}, true
	}
	if len(code) == 6 && code[0] == 0x41 && code[1]&0xf8 == 0xb8 {
		return load{at: 2, register: 8 + int(code[1]&7)}, true
	}
	return load{}, false
}

// onlyLines gives the place of the first difference that is no line number,
// -1 if there is none, and whether line numbers differ. A constant is a line
// number if it is loaded for a call, in a straight line of code, and either
// the called function takes nothing else there, or it moved as the lines of
// the file did. Whatever else differs is a change.
func (c *comparison) onlyLines(a, b *atom) (int, bool) {
	x, y := a.bytes(), b.bytes()
	line := make([]bool, len(x))
	lines := false
	pending := map[int]load{} // by register
	instructions(x, func(at, n int) bool {
		code := x[at : at+n]
		if l, ok := loadOf(code); ok {
			l.at += at
			pending[l.register] = l
			return true
		}
		in, err := x86asm.Decode(code, 64)
		switch {
		case err != nil:
			clear(pending)
		case code[0] == 0xe8:
			for _, l := range pending {
				before, after := binary.LittleEndian.Uint32(x[l.at:]), binary.LittleEndian.Uint32(y[l.at:])
				if before == after || a.refAt(l.at) != nil {
					continue
				}
				if callee := a.refAt(at + 1); l.register == second && callee != nil && callee.section == nil && lineTakers[callee.symbol.Name] || c.follows(before, after) {
					lines = true
					for i := range 4 {
						line[l.at+i] = true
					}
				}
			}
			clear(pending)
		default:
			if !straight(in) {
				clear(pending)
			}
		}
		return true
	})
	for i := range x {
		if x[i] != y[i] && !line[i] {
			return i, lines
		}
	}
	return -1, lines
}

// follows says that a constant moved as the lines of the file did.
func (c *comparison) follows(before, after uint32) bool {
	if c.moved == nil || before == 0 {
		return false
	}
	now, ok := c.moved(c.pre.file, int(before))
	return ok && now == int(after)
}

// straight says of an instruction between the loading of arguments and a call
// that it is one of those that load: anything else ends what is sure.
func straight(in x86asm.Inst) bool {
	switch in.Op {
	case x86asm.MOV, x86asm.LEA, x86asm.XOR, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD:
	default:
		return false
	}
	r, ok := in.Args[0].(x86asm.Reg)
	// Another value for the second argument would be the one that counts.
	return !ok || r != x86asm.ESI && r != x86asm.RSI && r != x86asm.SI && r != x86asm.SIB
}

func (a *atom) refAt(at int) *ref {
	for i := range a.refs {
		if a.refs[i].at == int64(at) {
			return &a.refs[i]
		}
	}
	return nil
}
