// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"debug/elf"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// kind is what a section is to a comparison.
type kind int

const (
	plain   kind = iota // things with names, code or data
	merged              // constants without names, which are what they hold
	tabular             // entries that belong to places in code
	unseen              // nothing that runs
)

// unseenNames are sections that say nothing about what the code does; a name
// that ends in a dot or underscore stands for all that begin so.
var unseenNames = []string{
	".debug_", ".comment", ".note.", ".eh_frame", ".modinfo", "__versions", ".BTF", ".llvm_addrsig",
	".discard.addressable", // keeps the compiler from dropping what it names
	".printk_index",        // a list for user space; objects in it hold line numbers
	".gnu.", ".rela",
	".orc_unwind", ".orc_unwind_ip", ".orc_header", // objtool makes these anew
}

// table is what is known of a kind of entries about code.
type table struct {
	name   string // of the section; a trailing dot stands for all that begin so
	stride int    // bytes of an entry; 0: from one reference to code to the next
	lines  bool   // holds the line number behind its last reference
	quiet  bool   // says nothing about what the code does: not compared
	made   bool   // objtool makes it anew: not taken
	reason string // a table that a module's loader does not treat: "" else
}

// tables are the sections whose entries belong to functions. Their first
// reference names the place in the code. Source: arch/x86/include/asm and
// include/asm-generic of 5.10 to 7.3, tools/objtool/special.c.
var tables = []table{
	{name: "__bug_table", lines: true}, // 12 bytes, 16 with a format from 6.19
	{name: "__ex_table", stride: 12},
	{name: "__jump_table", stride: 16},
	{name: ".altinstructions"}, // 13 bytes up to 5.17, then 12, from 6.3 14
	{name: ".parainstructions"},
	{name: ".smp_locks", stride: 4},
	{name: "__mcount_loc", stride: 8},
	{name: "__patchable_function_entries", stride: 8},
	{name: ".discard.", quiet: true},
	{name: ".retpoline_sites", made: true, quiet: true},
	{name: ".return_sites", made: true, quiet: true},
	{name: ".call_sites", made: true, quiet: true},
	{name: ".static_call_sites", made: true, quiet: true},
	{name: ".ibt_endbr_seal", made: true, quiet: true},
	{name: "runtime_ptr_", stride: 4}, // places of constants that the kernel writes when it starts, and the patch when it is loaded
	{name: "runtime_shift_", stride: 4},
	{name: "runtime_mask_", stride: 4},
	{name: ".kcfi_traps", stride: 4, reason: "has a check of an indirect call (kCFI) that a live patch cannot carry"},
}

func named(list string, name string) bool {
	if strings.HasSuffix(list, ".") || strings.HasSuffix(list, "_") {
		return strings.HasPrefix(name, list)
	}
	return name == list
}

func tableOf(name string) *table {
	for i := range tables {
		if named(tables[i].name, name) {
			return &tables[i]
		}
	}
	return nil
}

func kindOf(s *object.Section) kind {
	for _, n := range unseenNames {
		if named(n, s.Name) {
			return unseen
		}
	}
	if tableOf(s.Name) != nil {
		return tabular
	}
	if s.Flags&elf.SHF_ALLOC == 0 {
		return unseen
	}
	if s.Flags&elf.SHF_MERGE != 0 && s.Flags&elf.SHF_EXECINSTR == 0 && s.Type != elf.SHT_NOBITS && len(s.Relocs) == 0 {
		return merged
	}
	return plain
}

// attribute is the part of a section's name that the author or the kernel's
// macros chose: the name without what -ffunction-sections and -fdata-sections
// add to it.
func attribute(section string, symbol string) string {
	if s, ok := strings.CutSuffix(section, "."+symbol); ok && s != "" {
		return settled(s)
	}
	for _, s := range []string{".text.unlikely.", ".text.hot.", ".text.startup.", ".text.exit.", ".text.",
		".data.rel.ro.local.", ".data.rel.ro.", ".data.rel.local.", ".data.rel.", ".data.", ".rodata.", ".bss."} {
		if strings.HasPrefix(section, s) && !strings.HasPrefix(section, ".data..") && !strings.HasPrefix(section, ".rodata..") && !strings.HasPrefix(section, ".bss..") && !strings.HasPrefix(section, ".text..") {
			return settled(strings.TrimSuffix(s, "."))
		}
	}
	return settled(section)
}

// settled takes out of a section's name what the compiler chose by itself:
// where code is put by how often it runs.
func settled(section string) string {
	switch section {
	case ".text.unlikely", ".text.hot", ".text.startup", ".text.exit":
		return ".text"
	case ".data.rel.ro.local", ".data.rel.ro":
		return ".rodata"
	case ".data.rel.local", ".data.rel", ".bss":
		return ".data" // zero or not is a matter of the contents
	}
	return section
}

// boot says that a section's code or data is gone once the kernel or module
// has started (or runs only when it leaves).
func boot(section string) bool {
	for _, p := range []string{".init.", ".exit.", ".meminit.", ".memexit.", ".cpuinit.", ".cpuexit.", ".devinit.", ".devexit.", ".head.text", ".init_array", ".exitcall", ".con_initcall", ".initcall", ".x86_cpu_dev.init"} {
		if strings.HasPrefix(section, p) {
			return true
		}
	}
	return false
}

// untraceable says that the source put code where nothing may be traced.
func untraceable(section string) bool {
	for _, p := range []string{".noinstr.text", ".entry.text", ".entry..text", ".cpuidle.text", ".kprobes.text"} {
		if section == p || strings.HasPrefix(section, p+".") {
			return true
		}
	}
	return false
}
