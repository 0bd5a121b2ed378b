// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"
	"strings"
)

// Instrument is what a live patch measures of functions that it leaves as they
// are.
type Instrument string

const (
	// Count counts calls. A stub takes the place of the function, counts and
	// goes on behind the fentry site of the original, with the stack and all
	// registers as they were.
	Count Instrument = "count"
	// Time counts calls and measures how long they take, from entry to exit,
	// by the CPU's time stamp counter. The stub calls the original from a
	// frame of its own, which every unwinder understands, so a live patch
	// waits for the calls under way before it goes.
	Time Instrument = "time"
)

// Instrumented is one function to be measured.
type Instrumented struct {
	Object string // "vmlinux" or a module
	Name   string
	Sympos uint64 // as in struct klp_func
	Body   int    // offset behind the fentry site in bytes
}

// The parameters by which an instrument's module tells what it measured, in
// /sys/module/MODULE/parameters: lists of numbers with commas, one for each
// function in the order of the tables. InstrumentInfo is the key in .modinfo
// that says which instrument a module is.
const (
	CallsParameter   = "calls"   // calls that began (Count), that ended (Time)
	StartedParameter = "started" // Time: calls that began
	TotalParameter   = "total"   // Time: ticks of all calls that ended
	LongestParameter = "longest" // Time: ticks of the longest
	KHzParameter     = "khz"     // Time: ticks in a millisecond
	InstrumentInfo   = "switchyard_instrument"
)

// MostInstrumented is how many functions a module can measure: a parameter is
// read as one page.
const MostInstrumented = 100

// source is the C source of the module. Functions of one object must stand
// together.
func (i Instrument) source(all []Instrumented) string {
	var b strings.Builder
	b.WriteString(instrumentHead)
	fmt.Fprintf(&b, "MODULE_INFO(%s, %q);\n#define FUNCTIONS %d\n", InstrumentInfo, i, len(all))
	b.WriteString("unsigned long switchyard_body[FUNCTIONS];\n")
	i.parameter(&b, CallsParameter)
	if i == Time {
		i.parameter(&b, StartedParameter)
		i.parameter(&b, TotalParameter)
		i.parameter(&b, LongestParameter)
		fmt.Fprintf(&b, "extern unsigned int tsc_khz;\nstatic unsigned int switchyard_khz;\nmodule_param_named(%s, switchyard_khz, uint, 0444);\n", KHzParameter)
	}
	for n, f := range all {
		stub := i.stub(n, f)
		fmt.Fprintf(&b, "void %s(void);\nasm(\n", stub)
		for line := range strings.Lines(i.assembly(n, stub)) {
			fmt.Fprintf(&b, "\t%q\n", line)
		}
		b.WriteString(");\n")
	}
	var objects strings.Builder
	for from := 0; from < len(all); {
		to := from
		for to < len(all) && all[to].Object == all[from].Object {
			to++
		}
		i.object(&b, &objects, all, from, to)
		from = to
	}
	fmt.Fprintf(&b, "static struct klp_object objects[] = {\n%s\t{ }\n};\n", objects.String())
	b.WriteString("static struct klp_patch patch = { .mod = THIS_MODULE, .objs = objects };\nstatic int __init start(void)\n{\n")
	if i == Time {
		b.WriteString("\tswitchyard_khz = tsc_khz;\n")
	}
	b.WriteString("\treturn klp_enable_patch(&patch);\n}\n")
	b.WriteString(instrumentTail)
	return b.String()
}

const instrumentHead = `#include <linux/module.h>
#include <linux/livepatch.h>
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Measures functions and leaves them as they are");
MODULE_INFO(livepatch, "Y");
`

const instrumentTail = `static void __exit stop(void) { }
module_init(start);
module_exit(stop);
`

// stub is the symbol of the n-th function's stub, as stacks show it.
func (i Instrument) stub(n int, f Instrumented) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, f.Name)
	return fmt.Sprintf("switchyard_%s_%d_%s", i, n, name)
}

func (i Instrument) parameter(b *strings.Builder, name string) {
	fmt.Fprintf(b, "unsigned long switchyard_%s[FUNCTIONS];\nmodule_param_array_named(%[1]s, switchyard_%[1]s, ulong, NULL, 0444);\n", name)
}

// object writes the tables of the functions from up to to, which are of one
// object. The core has found the originals when it calls back before patching,
// also for a module that is loaded later.
//
// An original of no size is on nobody's stack, so no task that sleeps in it
// holds the patch up. For any other patch that would be wrong; here old and
// new are the same code.
func (i Instrument) object(b, objects *strings.Builder, all []Instrumented, from, to int) {
	fmt.Fprintf(b, "static struct klp_func functions_%d[] = {\n", from)
	for n := from; n < to; n++ {
		f := all[n]
		fmt.Fprintf(b, "\t{ .old_name = %q, .new_func = %s, .old_sympos = %d },\n", f.Name, i.stub(n, f), f.Sympos)
	}
	fmt.Fprintf(b, "\t{ }\n};\nstatic int find_%d(struct klp_object *object)\n{\n", from)
	for n := from; n < to; n++ {
		fmt.Fprintf(b, "\tswitchyard_body[%d] = (unsigned long)functions_%d[%d].old_func + %d;\n", n, from, n-from, all[n].Body)
		fmt.Fprintf(b, "\tfunctions_%d[%d].old_size = 0;\n", from, n-from)
	}
	b.WriteString("\treturn 0;\n}\n")
	name := ""
	if all[from].Object != "vmlinux" {
		name = fmt.Sprintf(".name = %q, ", all[from].Object)
	}
	fmt.Fprintf(objects, "\t{ %s.funcs = functions_%d, .callbacks.pre_patch = find_%[2]d },\n", name, from)
}

// assembly is the stub of the n-th function. It goes to the original by a
// return: an indirect jump would need a landing pad (endbr64) there.
func (i Instrument) assembly(n int, stub string) string {
	text := countStub
	if i == Time {
		text = timeStub
	}
	return strings.NewReplacer("STUB", stub, "INDEX", fmt.Sprint(8*n), "LABEL", fmt.Sprintf(".Lswitchyard_stub_%d", n)).Replace(text)
}

const countStub = `.text
.balign 16
.type STUB, @function
STUB:
	.cfi_startproc
	endbr64
	lock incq switchyard_calls+INDEX(%rip)
	pushq switchyard_body+INDEX(%rip)
	.cfi_adjust_cfa_offset 8
	ret
	int3
	.cfi_endproc
.size STUB, .-STUB
`

// timeStub keeps all registers on the way in, and those of the result on the
// way out; rbx is the callee's to keep. A time that runs backwards, on a
// machine whose CPUs disagree, is left out of total and longest.
const timeStub = `.text
.balign 16
.type STUB, @function
STUB:
	.cfi_startproc
	endbr64
	pushq %rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	movq %rsp, %rbp
	.cfi_def_cfa_register 6
	pushq %rbx
	pushq %rdx
	rdtsc
	shlq $32, %rdx
	orq %rax, %rdx
	movq %rdx, %rbx
	popq %rdx
	lock incq switchyard_started+INDEX(%rip)
	call LABEL_enter
	pushq %rax
	pushq %rdx
	rdtsc
	shlq $32, %rdx
	orq %rax, %rdx
	subq %rbx, %rdx
	jb LABEL_ended
	lock addq %rdx, switchyard_total+INDEX(%rip)
	movq switchyard_longest+INDEX(%rip), %rax
LABEL_longest:
	cmpq %rax, %rdx
	jbe LABEL_ended
	lock cmpxchgq %rdx, switchyard_longest+INDEX(%rip)
	jne LABEL_longest
LABEL_ended:
	lock incq switchyard_calls+INDEX(%rip)
	popq %rdx
	popq %rax
	popq %rbx
	.cfi_remember_state
	popq %rbp
	.cfi_def_cfa 7, 8
	ret
	int3
LABEL_enter:
	.cfi_restore_state
	pushq switchyard_body+INDEX(%rip)
	ret
	int3
	.cfi_endproc
.size STUB, .-STUB
`
