// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"debug/elf"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// thunks are the names whose call sites the booting kernel rewrites, by their
// beginnings.
//
// Source: apply_retpolines and apply_returns in arch/x86/kernel/alternative.c,
// arch/x86/kernel/static_call.c, ftrace's fentry sites.
var thunks = []string{"__x86_indirect_", "__x86_return_thunk", "__fentry__", "__cfi_"}

// trampoline is the name of a static call's, by its beginning.
const trampoline = "__SCT__"

// constants are the sections that list the operands which the booting kernel
// fills in, by their beginnings, and how wide these are.
//
// Source: arch/x86/include/asm/runtime-const.h
var constants = map[string]int{"runtime_ptr_": 8, "runtime_shift_": 1, "runtime_mask_": 4}

// rewrites are the places in each section's code that the kernel rewrites by
// itself, when it boots or runs, as the compiled object lists them.
func rewrites(o *object.Object) map[*object.Section][]Range {
	all := map[*object.Section][]Range{}
	add := func(s *object.Section, from uint64, n int) {
		if s != nil && n > 0 {
			all[s] = append(all[s], Range{int(from), int(from) + n})
		}
	}
	for _, s := range o.Sections {
		switch {
		case s.Flags&elf.SHF_EXECINSTR != 0:
			for _, r := range s.Relocs {
				if isThunk(r.Symbol) && r.Offset > 0 {
					from := r.Offset - 1
					// a conditional jump has two bytes before the field, and a
					// prefix fills a call up to what may stand in its place
					if from > 0 && (s.Data[from-1] == 0x0f || s.Data[from-1] == 0x2e) {
						from--
					}
					add(s, from, int(r.Offset)+4-int(from))
				}
			}
		case s.Name == ".altinstructions":
			alternatives(s, add)
		case s.Name == ".parainstructions":
			// struct paravirt_patch_site: u64 instr, u8 type, u8 len
			for _, r := range s.Relocs {
				if at := r.Offset + 9; at < uint64(len(s.Data)) {
					add(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend), int(s.Data[at]))
				}
			}
		case s.Name == ".smp_locks":
			for _, r := range s.Relocs {
				add(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend), 1)
			}
		case s.Name == "__jump_table":
			for _, r := range s.Relocs {
				if r.Offset%16 == 0 && r.Symbol.Section != nil {
					from := r.Symbol.Value + uint64(r.Addend)
					add(r.Symbol.Section, from, jumpLength(r.Symbol.Section.Data, from))
				}
			}
		default:
			for prefix, n := range constants {
				if strings.HasPrefix(s.Name, prefix) {
					for _, r := range s.Relocs {
						add(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend), n)
					}
				}
			}
		}
	}
	return all
}

func isThunk(s *object.Symbol) bool {
	// A file that defines a tracepoint or a static call has its trampoline.
	if strings.HasPrefix(s.Name, trampoline) {
		return true
	}
	if s.Section != nil {
		return false
	}
	for _, name := range thunks {
		if strings.HasPrefix(s.Name, name) {
			return true
		}
	}
	return false
}

// jumpLength is the length of the jump or no-op of a jump label.
func jumpLength(code []byte, at uint64) int {
	if at < uint64(len(code)) {
		switch code[at] {
		case 0xe9, 0x0f:
			return 5
		case 0xeb, 0x66:
			return 2
		}
	}
	return 0
}

// alternatives lists what the entries of struct alt_instr cover: two relative
// pointers, then what the CPU must have in two bytes (four since 6.3), the
// length of the instructions, that of their replacement, and up to 5.18 that
// of padding. The size of an entry tells which.
//
// Source: arch/x86/include/asm/alternative.h
func alternatives(s *object.Section, add func(*object.Section, uint64, int)) {
	if len(s.Relocs) < 2 {
		return
	}
	size := s.Size / uint64(len(s.Relocs)/2)
	at := map[uint64]uint64{12: 10, 13: 10, 14: 12}[size]
	if at == 0 {
		return
	}
	for _, r := range s.Relocs {
		if entry := r.Offset / size * size; r.Offset == entry && entry+at < uint64(len(s.Data)) {
			add(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend), int(s.Data[entry+at]))
		}
	}
}
