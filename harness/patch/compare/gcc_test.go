// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// kernelFlags are those of the kernel's that shape an object.
var kernelFlags = []string{
	"-O2", "-ffunction-sections", "-fdata-sections", "-mcmodel=kernel", "-fno-PIE", "-mno-red-zone", "-fcf-protection=branch", "-fno-jump-tables",
	"-pg", "-mrecord-mcount", "-mfentry", "-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-fno-common", "-fno-strict-aliasing", "-ffreestanding", "-w",
}

// kernelMacros are the kernel's ways to make tables and names, cut to the
// bone.
const kernelMacros = `
typedef unsigned long size_t;
#define noinline __attribute__((noinline))
#define notrace __attribute__((no_instrument_function))
#define __init __attribute__((section(".init.text")))
#define BUG() do { asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n2: .long 1b - .\n.long %c0 - .\n.word %c1\n.word 0\n.org 2b+12\n.popsection" :: "i"(__FILE__), "i"(__LINE__)); } while (0)
#define WARN_ON_ONCE(c) ({ static _Bool __attribute__((section(".data.once"))) __already_done; if (__builtin_expect(!!(c) && !__already_done, 0)) { __already_done = 1; BUG(); } c; })
#define EXPORT_SYMBOL(s) asm(".section \".export_symbol\",\"a\"\n__export_symbol_" #s ": .asciz \"GPL\"; .asciz \"\"; .balign 8; .quad " #s "\n.previous")
#define ALTERNATIVE(new) ALTERNATIVE_IF("117", new)
#define ALTERNATIVE_IF(feature, new) asm volatile("661: .byte 0x66,0x66,0x66,0x66,0x90\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 663f - .\n.4byte " feature "\n.byte 662b-661b\n.byte 664f-663f\n.popsection\n.pushsection .altinstr_replacement,\"ax\"\n663: " new "\n664:\n.popsection" ::: "memory")
struct key { int on; };
#define static_branch(k) ({ __label__ yes; int r = 0; asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - ., %l[yes] - .\n.quad %c0 - .\n.popsection" :: "i"(k) :: yes); if (0) { yes: r = 1; } r; })
#define get_user(x, p) ({ int e = 0; asm volatile("1: mov %2,%1\n2:\n.pushsection .fixup,\"ax\"\n3: mov $-14,%0\njmp 2b\n.popsection\n.pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - ., 3b - ., 0\n.popsection" : "+r"(e), "=r"(x) : "m"(*(p))); e; })
#define LOCK "\n.pushsection .smp_locks,\"a\"\n.balign 4\n.long 671f - .\n.popsection\n671: lock; "
struct ddebug { const char *mod, *fun, *file, *format; unsigned lineno:18, class:6, flags:8; struct key key; } __attribute__((aligned(8)));
void __dynamic_pr_debug(struct ddebug *, const char *, ...);
#define pr_debug(f) do { static struct ddebug __attribute__((section("__dyndbg"))) __UNIQUE_ID(ddebug) = { "m", __func__, __FILE__, f, __LINE__, 63, 0 }; if (static_branch(&__UNIQUE_ID(ddebug).key)) __dynamic_pr_debug(&__UNIQUE_ID(ddebug), f); } while (0)
#define __UNIQUE_ID(x) __UNIQUE_ID_##x##1
#define runtime_const(sym) ({ long r; asm("mov $0x1234567812345678,%0\n1:\n.pushsection runtime_ptr_" #sym ",\"a\"\n.long 1b - 8 - .\n.popsection" : "=r"(r)); r; })
#define KCFI asm volatile("1: ud2\n.pushsection .kcfi_traps,\"a\"\n.long 1b - .\n.popsection")
void printk(const char *, ...);
void __might_sleep(const char *, int);
void take(void *, int, int);
void call(void (*)(void));
int random(void);
`

func compile(t testing.TB, source string, flags ...string) *object.Object {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc on PATH: nothing to compare")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "unit.c")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kernel.h"), []byte(kernelMacros), 0o644))
	require.NoError(t, os.WriteFile(file, []byte("#include \"kernel.h\"\n"+source), 0o644))
	out := filepath.Join(dir, "unit.o")
	cmd := exec.Command(gcc, append(append([]string{"-c", "-o", out, "unit.c"}, kernelFlags...), flags...)...)
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	o, err := object.Open(out)
	require.NoError(t, err)
	return o
}

// changes gives the functions of a difference with their status.
func changes(d *Difference) map[string]Status {
	all := map[string]Status{}
	for _, f := range d.Functions {
		all[f.Name] = f.Status
	}
	return all
}

func data(d *Difference) map[string]Status {
	all := map[string]Status{}
	for _, x := range d.Data {
		all[x.Name] = x.Status
	}
	return all
}
