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
void printk(const char *, ...);
void __might_sleep(const char *, int);
void take(void *, int, int);
void call(void (*)(void));
int random(void);
`

func compile(t *testing.T, source string, flags ...string) *object.Object {
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
