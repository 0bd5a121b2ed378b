// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What objtool makes of an object file, this makes of the compiler's assembly:
// the ORC tables by which the kernel unwinds the stacks that the module's
// functions are on, and the lists of returns and indirect calls that the
// kernel rewrites for the CPU at hand.
//
// The compiler says how to unwind by its .cfi directives, and ORC is the same
// said in another way, so each directive becomes an entry at that place. No
// disassembly is needed: everything in these sources comes from the compiler
// or from our headers, and the latter leave the stack alone.

// unwind is how to find the caller's frame at some place.
type unwind struct {
	register int  // of the frame address: rsp or rbp by their DWARF numbers
	offset   int  // from the register to the frame address
	rbp      int  // where the caller's rbp is, from the frame address
	saved    bool // whether it is there
	known    bool // whether ORC can say it
}

const (
	dwarfRBP = 6
	dwarfRSP = 7
)

// assembly rewrites one file.
type assembly struct {
	kernel *Kernel
	out    strings.Builder
	labels int
	inside bool // a function
	now    unwind
	stack  []unwind // of .cfi_remember_state
	last   unwind   // what the last entry said
	name   string   // of the function
	// Unreliable are the functions that ORC cannot describe: a task asleep in
	// one of them has no reliable stack.
	unreliable []string
	sections   map[string]bool // with code
	section    string
	previous   string
}

var (
	directive   = regexp.MustCompile(`^\s*\.cfi_(\w+)\s*(.*?)\s*$`)
	thunkJump   = regexp.MustCompile(`^\s*(?:cs\s+)?(?:jmp|call)q?\s+__x86_(return_thunk|indirect_thunk_\w+)\s*$`)
	instruction = regexp.MustCompile(`^(?:[\w.$]+:)?\s+[a-z]`)
	typeLine    = regexp.MustCompile(`^\s*\.type\s+(\S+),\s*@function`)
)

// rewrite gives the assembly to assemble, and the functions whose frames
// cannot be described.
func (k *Kernel) rewrite(text string) (string, []string) {
	a := &assembly{kernel: k, sections: map[string]bool{}, section: ".text"}
	for line := range strings.Lines(text) {
		a.line(line)
	}
	a.close()
	return a.out.String(), a.unreliable
}

func (a *assembly) line(line string) {
	if m := directive.FindStringSubmatch(line); m != nil {
		if a.kernel.Image.ORCWords != nil {
			a.cfi(m[1], m[2])
		}
		return // no .eh_frame: the kernel has no use for it
	}
	a.noteSection(line)
	if a.inside && instruction.MatchString(line) && a.now != a.last {
		// Not at the directives themselves: two at one place would be two
		// entries for one address, which the kernel's sort may swap.
		a.entry(a.now)
		a.last = a.now
	}
	if m := typeLine.FindStringSubmatch(line); m != nil {
		a.name = m[1]
	}
	if m := thunkJump.FindStringSubmatch(line); m != nil {
		switch {
		case m[1] == "return_thunk" && a.kernel.Image.ReturnThunks:
			a.site(".return_sites")
		case m[1] != "return_thunk" && a.kernel.Image.Retpolines:
			a.site(".retpoline_sites")
		}
	}
	a.out.WriteString(line)
}

// noteSection follows which section the code is in, for the entry that ends
// its table.
func (a *assembly) noteSection(line string) {
	fields := strings.Fields(line)
	switch {
	case len(fields) == 0:
	case fields[0] == ".text", fields[0] == ".data", fields[0] == ".bss":
		a.previous, a.section = a.section, fields[0]
	case fields[0] == ".section" && len(fields) > 1:
		name, _, _ := strings.Cut(fields[1], ",")
		a.previous, a.section = a.section, name
	case fields[0] == ".previous":
		a.previous, a.section = a.section, a.previous
	}
}

// label puts a label at this place.
func (a *assembly) label() string {
	a.labels++
	name := fmt.Sprintf(".Lswitchyard%d", a.labels)
	fmt.Fprintf(&a.out, "%s:\n", name)
	return name
}

func (a *assembly) site(section string) {
	at := a.label()
	fmt.Fprintf(&a.out, "\t.pushsection %s,\"a\"\n\t.long %s - .\n\t.popsection\n", section, at)
}

// cfi follows a directive. Source of their meanings: the manual of GNU as,
// "CFI directives".
func (a *assembly) cfi(name, args string) {
	reg, offset := arguments(args)
	switch name {
	case "startproc":
		a.inside = true
		a.sections[a.section] = true
		a.now, a.last = unwind{register: dwarfRSP, offset: 8, known: true}, unwind{}
	case "endproc":
		a.inside = false
		return
	case "def_cfa":
		a.now.register, a.now.offset, a.now.known = reg, offset, true
	case "def_cfa_register":
		a.now.register, a.now.known = reg, true
	case "def_cfa_offset":
		a.now.offset = reg // the only argument
	case "adjust_cfa_offset":
		a.now.offset += reg
	case "offset":
		if reg == dwarfRBP {
			a.now.saved, a.now.rbp = true, offset
		}
	case "restore":
		if reg == dwarfRBP {
			a.now.saved, a.now.rbp = false, 0
		}
	case "remember_state":
		a.stack = append(a.stack, a.now)
	case "restore_state":
		if n := len(a.stack); n > 0 {
			a.now, a.stack = a.stack[n-1], a.stack[:n-1]
		}
	case "escape", "val_offset", "register", "undefined", "return_column", "rel_offset":
		// A realigned stack, for one; ORC has no form for what gcc says here.
		a.now.known = false
	default: // sections, personality, lsda, signal_frame: nothing about frames
		return
	}
	if a.now.known && a.now.register != dwarfRSP && a.now.register != dwarfRBP {
		a.now.known = false
	}
}

// entry writes a table entry for the code that follows.
func (a *assembly) entry(u unwind) {
	e, ok := a.kernel.Image.ORCWords.encode(u)
	if !ok && (len(a.unreliable) == 0 || a.unreliable[len(a.unreliable)-1] != a.name) {
		a.unreliable = append(a.unreliable, a.name)
	}
	a.table(a.label(), e)
}

func (a *assembly) table(at string, e [3]uint16) {
	fmt.Fprintf(&a.out, "\t.pushsection .orc_unwind_ip,\"a\"\n\t.long %s - .\n\t.popsection\n", at)
	fmt.Fprintf(&a.out, "\t.pushsection .orc_unwind,\"a\"\n\t.short %#x, %#x, %#x\n\t.popsection\n", e[0], e[1], e[2])
}

// close ends the table of each section, so that the last function's entry
// does not hold for what comes behind it.
func (a *assembly) close() {
	for _, s := range slices.Sorted(maps.Keys(a.sections)) {
		fmt.Fprintf(&a.out, "\t.section %s,\"ax\"\n", s)
		a.table(a.label(), [3]uint16{})
	}
}

// arguments are the numbers of a directive; gcc numbers registers by DWARF.
func arguments(text string) (first, second int) {
	one, two, _ := strings.Cut(text, ",")
	first, _ = strconv.Atoi(strings.TrimSpace(one))
	second, _ = strconv.Atoi(strings.TrimSpace(two))
	return first, second
}
