// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// Runtime constants are immediate operands that the kernel writes once, while
// it starts, into the code of its image: a hash table's address or shift, the
// end of user space. In code that comes later they would keep the compiler's
// placeholder. So the module's init writes them, from the kernel's variables
// and before livepatch is told of the module. Source:
// arch/x86/include/asm/runtime-const.h, from 6.11 on.
type runtimeConstant struct {
	section string // runtime_KIND_NAME, places as offsets from themselves
	width   int    // bytes of the operand
	target  target // the variable
}

var runtimeSection = regexp.MustCompile(`^runtime_(ptr|shift|mask)_(\w+)$`)

// runtimeWidths are in bytes, by kind.
var runtimeWidths = map[string]int{"ptr": 8, "shift": 1, "mask": 4}

// runtimeConstants are those of the module's parts, each once.
func (m *Module) runtimeConstants() (all []runtimeConstant) {
	seen := map[string]bool{}
	for _, p := range m.Parts {
		for _, s := range p.Code.Sections {
			kind := runtimeSection.FindStringSubmatch(s.Name)
			if kind == nil || seen[s.Name] || s.Size == 0 {
				continue
			}
			seen[s.Name] = true
			c := runtimeConstant{section: s.Name, width: runtimeWidths[kind[1]],
				target: target{section: VMLinux, object: VMLinux, name: kind[2]}}
			for _, known := range p.Symbols { // it may say which of several
				if known.Name == kind[2] && known.Object == VMLinux {
					c.target.sympos = known.Sympos
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// poke is the kernel's function that writes to code under its own locks.
const poke = "text_poke_copy"

// Names in the tables' source of what stands elsewhere.
func startMark(section string) string { return "__klp_start." + section }
func stopMark(section string) string  { return "__klp_stop." + section }
func runtimeLink(name string) string  { return "__klp_runtime." + name }

// addRuntime makes the symbols that the init function needs known.
func (l *links) addRuntime(all []runtimeConstant) {
	for _, c := range all {
		l.targets[runtimeLink(c.target.name)] = c.target
		l.targets[runtimeLink(poke)] = target{section: VMLinux, object: VMLinux, name: poke}
	}
}

// runtimeDeclarations and runtimeInit are the parts of the tables' source.
func runtimeDeclarations(all []runtimeConstant) string {
	if len(all) == 0 {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "extern void *klp_poke(void *addr, const void *opcode, size_t len) __asm__(%q);\n", runtimeLink(poke))
	for _, c := range all {
		fmt.Fprintf(&s, "extern s32 klp_start_%s[] __asm__(%[2]q), klp_stop_%[1]s[] __asm__(%[3]q);\n", c.section, startMark(c.section), stopMark(c.section))
		fmt.Fprintf(&s, "extern char klp_value_%s[] __asm__(%q);\n", c.section, runtimeLink(c.target.name))
	}
	s.WriteString("\nstatic void __init klp_set(s32 *start, s32 *stop, const void *value, size_t width)\n{\n" +
		"\tfor (; start < stop; start++)\n\t\tklp_poke((void *)start + *start, value, width);\n}\n")
	return s.String()
}

func runtimeInit(all []runtimeConstant) string {
	var s strings.Builder
	for _, c := range all {
		fmt.Fprintf(&s, "\tklp_set(klp_start_%s, klp_stop_%[1]s, klp_value_%[1]s, %d);\n", c.section, c.width)
	}
	return s.String()
}

// tieRuntime gives the marks of the tables' ends their places.
func tieRuntime(o *object.Object, all []runtimeConstant) error {
	for _, c := range all {
		s := o.Section(c.section)
		if s == nil {
			return fmt.Errorf("section %s is lost in the link", c.section)
		}
		for _, sym := range o.Symbols {
			if !sym.Undefined() {
				continue
			}
			switch sym.Name {
			case startMark(c.section):
				sym.Section, sym.Value = s, 0
			case stopMark(c.section):
				sym.Section, sym.Value = s, s.Size
			}
		}
	}
	return nil
}
