// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// Moved says which line of the source after the change a line of a function
// before it became; false where that line is gone, changed, or cannot be one
// of the function (its own, or of one that was taken into it). file is as the
// object has it, without folders.
type Moved func(file, function string, line int) (int, bool)

// Registers of the first six arguments, as encoded.
const (
	second = 6 // si
	third  = 2 // dx
	fourth = 1 // cx
)

// lineTakers are functions that take a line number of the source: what
// differs in that argument is __LINE__ and nothing else. From the kernel's
// headers: might_sleep() and might_fault() with their relatives, RCU's
// complaints, WARN() where it is a call, the complaints of ACPICA (its
// include/acpi/acpixf.h), ext4 and btrfs.
var lineTakers = map[string]int{
	"__might_sleep": second, "___might_sleep": second, "__might_resched": second, "__might_fault": second,
	"__cant_sleep": second, "__cant_migrate": second, "lockdep_rcu_suspicious": second,
	"warn_slowpath_fmt": second, "warn_slowpath_null": second, "warn_slowpath_fmt_taint": second,
	"acpi_error": second, "acpi_exception": second, "acpi_warning": second, "acpi_info": second,
	"acpi_bios_error": second, "acpi_bios_exception": second, "acpi_bios_warning": second,
	"__ext4_error": third, "__ext4_error_inode": third, "__ext4_error_file": third, "__ext4_std_error": third,
	"__ext4_warning": third, "__ext4_warning_inode": third, "__ext4_abort": third,
	"__ext4_journal_stop": second, "__ext4_handle_dirty_metadata": second, "__ext4_journal_get_write_access": second,
	"__ext4_journal_get_create_access": second, "__ext4_forget": second,
	"__btrfs_handle_fs_error": third, "__btrfs_abort_transaction": third, "__btrfs_panic": third,
	"assfail": fourth, "asswarn": fourth, // xfs, since 5.9 with the file system before
}

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
		case code[0] == 0xe8 || code[0] == 0xe9 && a.refAt(at+1) != nil: // a call, or one that does not come back
			for _, l := range pending {
				before, after := binary.LittleEndian.Uint32(x[l.at:]), binary.LittleEndian.Uint32(y[l.at:])
				if before == after || a.refAt(l.at) != nil {
					continue
				}
				if takes(a.refAt(at+1), l.register) || c.follows(a, before, after) {
					lines = true
					for i := range 4 {
						line[l.at+i] = true
					}
				}
			}
			clear(pending)
		case !straight(in):
			clear(pending)
		default:
			if r, ok := in.Args[0].(x86asm.Reg); ok {
				delete(pending, encoded(r)) // another value counts
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

// takes says that the called function takes a line number in the register.
func takes(callee *ref, register int) bool {
	if callee == nil {
		return false
	}
	name := callee.symbol.Name
	if callee.target != nil {
		name = callee.target.name()
	}
	r, ok := lineTakers[name]
	return ok && r == register
}

// follows says that a constant moved as the lines of the function did.
func (c *comparison) follows(a *atom, before, after uint32) bool {
	if c.moved == nil || before == 0 {
		return false
	}
	now, ok := c.moved(c.pre.file, parent(a.name()), int(before))
	return ok && now == int(after)
}

// straight says of an instruction between the loading of arguments and a call
// that it goes on to the next and writes no register but its first operand:
// anything else ends what is sure.
func straight(in x86asm.Inst) bool {
	switch in.Op {
	case x86asm.MOV, x86asm.LEA, x86asm.XOR, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD,
		x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.TEST, x86asm.CMP, x86asm.PUSH, x86asm.POP:
		return true
	}
	return false
}

// encoded is the number of a register whatever its width, -1 for none of the
// general ones.
func encoded(r x86asm.Reg) int {
	for _, from := range []x86asm.Reg{x86asm.RAX, x86asm.EAX, x86asm.AX} {
		if r >= from && r < from+16 {
			return int(r - from)
		}
	}
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL)
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH)
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + 4
	}
	return -1
}

func (a *atom) refAt(at int) *ref {
	for i := range a.refs {
		if a.refs[i].at == int64(at) {
			return &a.refs[i]
		}
	}
	return nil
}

// inText is a place of the source in a string: file and line together, as the
// checks of FORTIFY_SOURCE name themselves.
var inText = regexp.MustCompile(`([\w/.-]+\.[chS]:)\d+`)

// sameButLines says that two strings differ in lines of the source alone.
func sameButLines(a, b []byte) bool {
	if !inText.Match(a) {
		return false
	}
	without := func(s []byte) []byte { return inText.ReplaceAll(s, []byte("$1")) }
	return bytes.Equal(without(a), without(b))
}

// sanitizer says that a section holds what UBSAN says of a place in the
// source, each in one of its own, numbered: .data..Lubsan_data7.
func sanitizer(section string) bool { return strings.Contains(section, "ubsan_data") }

// withoutLines gives the bytes of data that the compiler or a macro made to
// hold a place in the source, without the place; nil for any other.
func (a *atom) withoutLines() []byte {
	b := slices.Clone(a.bytes())
	switch {
	case a.handling == own:
		// struct _ddebug: pointers, then the line in 18 bits of a word.
		at := 8 * len(a.refs)
		if at+4 > len(b) {
			return nil
		}
		binary.LittleEndian.PutUint32(b[at:], binary.LittleEndian.Uint32(b[at:])&^(1<<18-1))
	case sanitizer(a.section.Name) && len(a.symbols) == 0:
		// struct source_location: the file, then line and column.
		if len(b) < 16 {
			return nil
		}
		clear(b[8:16])
	default:
		return nil
	}
	return b
}
