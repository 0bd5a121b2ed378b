// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// maxVersionName is the length of a symbol's name in struct modversion_info,
// with its end.
const maxVersionName = 64 - 8

// object is what the linked objects of a module need and give.
type object struct {
	undefined []string // sorted
	defined   map[string]bool
}

func readObject(path string) (*object, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	o := &object{defined: map[string]bool{}}
	for _, s := range symbols {
		if elf.ST_BIND(s.Info) == elf.STB_LOCAL || s.Name == "" {
			continue
		}
		if s.Section == elf.SHN_UNDEF {
			o.undefined = append(o.undefined, s.Name)
		} else {
			o.defined[s.Name] = true
		}
	}
	slices.Sort(o.undefined)
	o.undefined = slices.Compact(o.undefined)
	return o, nil
}

// description is the assembly that makes a module of an object, what modpost
// writes as C: struct module as the loader expects it, the mark of the kernel
// it is for, and the checksums of what it uses.
//
// Source: scripts/mod/modpost.c, add_header() and add_versions().
func (k *Kernel) description(name string, o *object) (string, error) {
	var b strings.Builder
	l := k.Types.Module
	if uint64(len(name)) >= l.NameSize {
		return "", fmt.Errorf("the name %s has %d characters, and a module's may have %d", name, len(name), l.NameSize-1)
	}
	modinfo := func(text string) { fmt.Fprintf(&b, "\t.asciz %q\n", text) }
	b.WriteString("\t.section .modinfo,\"a\"\n")
	if k.Image.Retpolines {
		modinfo("retpoline=Y") // without, the loader complains and taints
	}
	modinfo("depends=")
	for _, ns := range k.namespaces(o) {
		modinfo("import_ns=" + ns)
	}
	modinfo("name=" + name)
	modinfo("vermagic=" + k.Image.Vermagic)

	// ____cacheline_aligned, include/linux/module.h
	b.WriteString("\t.section .gnu.linkonce.this_module,\"aw\"\n\t.balign 64\n\t.globl __this_module\n\t.type __this_module, @object\n")
	fmt.Fprintf(&b, "\t.size __this_module, %d\n__this_module:\n", l.Size)
	fmt.Fprintf(&b, "\t.org __this_module+%d\n\t.asciz %q\n", l.Name, name)
	if o.defined["init_module"] {
		fmt.Fprintf(&b, "\t.org __this_module+%d\n\t.quad init_module\n", l.Init)
	}
	if l.HasExit && o.defined["cleanup_module"] {
		fmt.Fprintf(&b, "\t.org __this_module+%d\n\t.quad cleanup_module\n", l.Exit)
	}
	fmt.Fprintf(&b, "\t.org __this_module+%d\n", l.Size)

	if k.Image.CRCs {
		b.WriteString("\t.section __versions,\"a\"\n\t.balign 8\n")
		for _, s := range append([]string{"module_layout"}, o.undefined...) {
			e, exported := k.Image.Exports[s]
			if !exported {
				continue // __this_module, and module_layout where it is gone
			}
			if len(s) >= maxVersionName {
				return "", fmt.Errorf("the name of %s is too long for a table of checksums", s)
			}
			fmt.Fprintf(&b, "\t.quad %#x\n\t.ascii %q\n\t.zero %d\n", e.CRC, s, maxVersionName-len(s))
		}
	}
	if k.Image.ORCWords != nil && len(k.Image.ORCHeader) > 0 {
		b.WriteString("\t.section .orc_header,\"a\"\n")
		for _, c := range k.Image.ORCHeader {
			fmt.Fprintf(&b, "\t.byte %#x\n", c)
		}
	}
	b.WriteString("\t.section .note.GNU-stack,\"\",@progbits\n")
	return b.String(), nil
}

// namespaces are those of the symbols that o uses. MODULE_IMPORT_NS, whose
// form differs between kernels, says the same again.
func (k *Kernel) namespaces(o *object) (all []string) {
	for _, s := range o.undefined {
		if ns := k.Image.Exports[s].Namespace; ns != "" && !slices.Contains(all, ns) {
			all = append(all, ns)
		}
	}
	slices.Sort(all)
	return all
}

// linkerScript leaves out what the kernel's own (scripts/module.lds.S) does,
// and what only a debugger reads.
const linkerScript = `SECTIONS {
	/DISCARD/ : { *(.discard) *(.discard.*) *(.comment) *(.note.gnu.property) *(.note.GNU-stack) *(.eh_frame) }
}
`

// bugDirectives is the C macro by which our linux/bug.h writes an entry.
func (k *Kernel) bugDirectives() string {
	var b strings.Builder
	base := "."
	if k.Image.BugFromEntry {
		base = "2b"
	}
	relative := func(to string) { fmt.Fprintf(&b, `"\t.long %s-%s\n"`, to, base) }
	for _, member := range k.Types.BugEntry {
		switch member {
		case "bug_addr_disp":
			relative("1b")
		case "format_disp":
			relative("%c[fmt]")
		case "file_disp":
			relative("%c[file]")
		case "bug_addr":
			b.WriteString(`"\t.quad 1b\n"`)
		case "file":
			b.WriteString(`"\t.quad %c[file]\n"`)
		case "line":
			b.WriteString(`"\t.short %c[line]\n"`)
		case "flags":
			b.WriteString(`"\t.short %c[flags]\n"`)
		}
		b.WriteByte(' ')
	}
	return b.String()
}
