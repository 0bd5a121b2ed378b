// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// judge refuses what no live patch can do, whichever way it is built.
func (s *selector) judge() {
	s.judgeFunctions()
	s.judgeData()
	for _, e := range s.Exports {
		what := map[byte]string{'+': "is exported newly", '-': "is not exported any more", '~': "is exported in another way"}[e[0]]
		s.refuse(refusal.Refusal{
			Code: refusal.Exports, Function: e[1:], Text: what + "; the kernel's table of exports is fixed",
			Advice: "leave EXPORT_SYMBOL as it is; the patch finds symbols that are not exported by itself",
		})
	}
	for _, t := range s.Tables {
		s.refuse(refusal.Refusal{
			Code: refusal.Special, Text: fmt.Sprintf("the list in section %s changes, which was read when the kernel or module started", t),
			Advice: "do the same from a callback of the patch",
		})
	}
}

func (s *selector) judgeFunctions() {
	traced := slices.ContainsFunc(s.pre.atoms, func(a *atom) bool { return a.code && a.site() })
	for _, f := range s.Functions {
		for _, m := range f.Members {
			if m.Status == Same {
				continue
			}
			section := ""
			if m.Post != nil {
				section = m.Post.Section.Name
			} else {
				section = m.Pre.Section.Name
			}
			if boot(section) {
				s.refuse(refusal.Refusal{
					Code: refusal.InitExit, Function: f.Name, Text: "is " + whenBoot(section),
					Advice: "leave it as it is, and do what it should have done in a callback of the patch",
				})
				break
			}
		}
	}
	for _, b := range s.post.atoms {
		if !s.hooked[b] {
			continue
		}
		a := s.from[b]
		name := parent(b.name())
		switch {
		case a == nil || boot(b.section.Name):
		case attribute(a.section.Name, a.name()) != attribute(b.section.Name, b.name()):
			s.refuse(refusal.Refusal{Code: refusal.Special, Function: name, Text: fmt.Sprintf("moves from section %s to %s", a.section.Name, b.section.Name), Advice: "leave its attributes as they are"})
		case a.site():
		case untraceable(a.section.Name) || traced:
			s.refuse(refusal.Refusal{
				Code: refusal.NoTrace, Function: name, Text: "has no call of __fentry__, for the source forbids tracing of it (notrace, noinstr, or inline, which the kernel makes notrace): nothing can be hooked in",
				Advice: "patch its callers instead",
			})
		default:
			s.refuse(refusal.Refusal{
				Code: refusal.NoFentry, Function: name, Text: "has no call of __fentry__, as nothing in its file has: nothing can be hooked in",
				Advice: "patch callers in other files instead",
			})
		}
	}
}

func whenBoot(section string) string {
	if strings.Contains(section, "exit") {
		return "exit code (__exit), which runs only when its module goes (and is no part of a kernel)"
	}
	return "init code (__init), which has run and is gone"
}

// harmlessLists are sections into which a new function may put an entry that
// it can do without.
var harmlessLists = []string{"_kprobe_blacklist", "_error_injection_whitelist", "__syscalls_metadata", ".BTF_ids", ".discard.", ".printk_index"}

func (s *selector) judgeData() {
	for _, x := range s.Data {
		section := x.Section
		r := refusal.Refusal{Code: refusal.Data, Function: ""}
		switch {
		case boot(section):
			r.Code, r.Text, r.Advice = refusal.InitExit, fmt.Sprintf("%s is data of init code, which has run and is gone", x.Name), "do the same from a callback of the patch"
		case x.Status == Changed:
			r.Text = fmt.Sprintf("the data of %s changes (%s), and the running kernel works with the old", x.Name, x.Why)
			r.Advice = "set it from a pre_patch callback, or leave it and change the code that reads it"
		case x.Status == New && !plainSection(attribute(section, x.Post.Name)) && !slices.ContainsFunc(harmlessLists, func(l string) bool { return named(l, section) }):
			r.Code = refusal.Special
			r.Text = fmt.Sprintf("%s adds to the list in section %s, which was read when the kernel or module started", x.Name, section)
			r.Advice = "do the same from a callback of the patch"
		default:
			continue
		}
		s.refuse(r)
	}
}

// plainSection says that data there is just data, also in a module.
func plainSection(attribute string) bool {
	switch attribute {
	case ".data", ".rodata", ".data.once", ".rodata.once":
		return true
	}
	return strings.HasPrefix(attribute, ".data..") || strings.HasPrefix(attribute, ".rodata..") || strings.HasPrefix(attribute, ".bss..") || attribute == "__dyndbg"
}
