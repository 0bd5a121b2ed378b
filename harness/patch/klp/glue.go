// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"fmt"
	"strings"
)

// Names of the build's files have a dash, which no module's name has: kbuild
// takes NAME.o for the module itself.
const (
	glueName        = "klp-glue"
	callbacksHeader = "klp-callbacks.h"
)

func partName(i int) string      { return fmt.Sprintf("klp-part%d", i) }
func callbacksName(i int) string { return fmt.Sprintf("klp-callbacks%d", i) }

// objects are the patched objects, each once, in the order of the parts.
func (m *Module) objects() (all []string) {
	seen := map[string]bool{}
	for _, p := range m.Parts {
		if !seen[p.Object] {
			seen[p.Object] = true
			all = append(all, p.Object)
		}
	}
	return all
}

// callbackKinds are the members of struct klp_callbacks. Source:
// include/linux/livepatch.h.
var callbackKinds = []struct{ name, returns string }{
	{"pre_patch", "int"}, {"post_patch", "void"}, {"pre_unpatch", "void"}, {"post_unpatch", "void"},
}

// callbacksHeader is included before the first line of the user's callbacks:
// the compiler then checks their signatures.
func (b *builder) callbacksHeader() string {
	var s strings.Builder
	s.WriteString("#include <linux/livepatch.h>\n")
	b.declareCallbacks(&s, "")
	return s.String()
}

// declareCallbacks declares all that the user's files may define.
func (b *builder) declareCallbacks(s *strings.Builder, attribute string) {
	for _, k := range callbackKinds {
		for _, suffix := range b.callbackSuffixes() {
			fmt.Fprintf(s, "extern %s klp_%s%s(struct klp_object *obj)%s;\n", k.returns, k.name, suffix, attribute)
		}
	}
}

// callbackSuffixes are what can stand behind a callback's name.
func (b *builder) callbackSuffixes() []string {
	all := []string{""}
	for _, o := range b.module.objects() {
		all = append(all, "_"+o)
	}
	return all
}

// glue is the C source of the module's tables.
func (b *builder) glue() string {
	var s strings.Builder
	s.WriteString("// SPDX-License-Identifier: GPL-2.0\n#include <linux/kernel.h>\n#include <linux/module.h>\n#include <linux/livepatch.h>\n\n")
	for i, p := range b.module.Parts {
		for n := range p.Functions {
			fmt.Fprintf(&s, "extern char klp_new_%d_%d[] __asm__(%q);\n", i, n, newMark(i, n))
		}
	}
	objects := b.module.objects()
	for n, o := range objects {
		fmt.Fprintf(&s, "\nstatic struct klp_func klp_funcs_%d[] = {\n", n)
		for i, p := range b.module.Parts {
			if p.Object != o {
				continue
			}
			for j, f := range p.Functions {
				fmt.Fprintf(&s, "\t{ .old_name = %q, .new_func = klp_new_%d_%d, .old_sympos = %d },\n", f.Old, i, j, f.Sympos)
			}
		}
		s.WriteString("\t{ }\n};\n")
	}
	s.WriteString("\nstatic struct klp_object klp_objects[] = {\n")
	for n, o := range objects {
		name := "NULL"
		if o != VMLinux {
			name = fmt.Sprintf("%q", o)
		}
		fmt.Fprintf(&s, "\t{ .name = %s, .funcs = klp_funcs_%d },\n", name, n)
	}
	fmt.Fprintf(&s, "\t{ }\n};\n\nstatic struct klp_patch klp_this_patch = {\n\t.mod = THIS_MODULE,\n\t.objs = klp_objects,\n\t.replace = %t,\n};\n", b.module.Replace)
	constants := b.module.runtimeConstants()
	s.WriteString(b.callbackDeclarations())
	s.WriteString(runtimeDeclarations(constants))
	s.WriteString("\nstatic int __init klp_glue_init(void)\n{\n")
	s.WriteString(runtimeInit(constants))
	s.WriteString(b.callbackInit(objects))
	s.WriteString("\treturn klp_enable_patch(&klp_this_patch);\n}\n\nstatic void __exit klp_glue_exit(void)\n{\n}\n\n" +
		"module_init(klp_glue_init);\nmodule_exit(klp_glue_exit);\nMODULE_LICENSE(\"GPL\");\nMODULE_INFO(livepatch, \"Y\");\n")
	fmt.Fprintf(&s, "MODULE_DESCRIPTION(\"live patch %s\");\n", b.module.Name)
	return s.String()
}

// callbackDeclarations name the callbacks that the user's files may define.
func (b *builder) callbackDeclarations() string {
	if len(b.module.Callbacks) == 0 {
		return ""
	}
	var s strings.Builder
	s.WriteString("\n")
	b.declareCallbacks(&s, " __attribute__((weak))")
	return s.String()
}

// callbackInit puts the callbacks that are defined into the tables: an
// object's own before the one for all objects.
func (b *builder) callbackInit(objects []string) string {
	if len(b.module.Callbacks) == 0 {
		return ""
	}
	var s strings.Builder
	for n, o := range objects {
		for _, k := range callbackKinds {
			fmt.Fprintf(&s, "\tklp_objects[%d].callbacks.%s = klp_%[2]s_%s ? klp_%[2]s_%[3]s : klp_%[2]s;\n", n, k.name, o)
		}
	}
	return s.String()
}
