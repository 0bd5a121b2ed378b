// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"debug/elf"
	"fmt"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// spaces are where a symbol of this object may be: in the object itself, in
// the kernel, in the modules it depends on.
func (m *matcher) spaces() []*space {
	if m.space == m.image.vmlinux {
		return []*space{m.space}
	}
	return append([]*space{m.space, m.image.vmlinux}, m.space.needs...)
}

// addresses are where the kernel has symbols that s may be, judged by names
// alone: of a numbered static variable all that differ by the number.
func (m *matcher) addresses(s *object.Symbol) (all []uint64) {
	for _, where := range m.spaces() {
		for _, i := range where.likely(s) {
			all = append(all, where.symbols[i].Address)
		}
		if s.Section != nil || len(all) > 0 {
			break // what the object defines is its own
		}
	}
	return all
}

// likely are the symbols that s may be by its name.
func (s *space) likely(sym *object.Symbol) []int {
	if short := stem(sym.Name); short != sym.Name && sym.Bind == elf.STB_LOCAL {
		return s.byStem()[short]
	}
	return s.byName[sym.Name]
}

// describe says what is at address, for a message.
func (m *matcher) describe(address uint64) string {
	for _, where := range m.spaces() {
		if all := where.symbolsAt(address); len(all) > 0 {
			return where.symbols[all[0]].Name
		}
	}
	return fmt.Sprintf("no symbol (%#x)", address)
}

// places names all symbols whose address is known by now, and those that need
// no witness since the kernel has but one of the name.
func (m *matcher) places() map[*object.Symbol]Place {
	all := map[*object.Symbol]Place{}
	for _, s := range m.object.Symbols {
		address, known := m.symbols[s]
		if s.Section != nil && s.Bind != elf.STB_WEAK {
			address, known = m.sections[s.Section]
			address += s.Value
		}
		if known {
			all[s] = m.placeAt(s, address)
			continue
		}
		if s.Name == "" || s.Type == elf.STT_SECTION || s.Type == elf.STT_FILE {
			continue
		}
		for _, where := range m.spaces() {
			if same := where.byName[s.Name]; len(same) == 1 && stem(s.Name) == s.Name && (s.Bind != elf.STB_LOCAL || !m.differsInText(s)) {
				all[s] = where.place(same[0])
				break
			}
			if s.Section != nil {
				break
			}
		}
	}
	return all
}

// differsInText says that s is a function: one whose code was compared and
// found different has no place.
func (m *matcher) differsInText(s *object.Symbol) bool {
	return s.Section != nil && s.Section.Flags&elf.SHF_EXECINSTR != 0
}

// placeAt is the place of s at address, by the name that the kernel has there.
func (m *matcher) placeAt(s *object.Symbol, address uint64) Place {
	name, section := s.Name, s.Type == elf.STT_SECTION
	if section {
		name = ""
		for _, named := range m.named[s.Section] {
			if named.Value == s.Value {
				name = named.Name
				break
			}
		}
	}
	for _, where := range m.spaces() {
		best := -1
		for _, i := range where.symbolsAt(address) {
			has := where.symbols[i].Name
			switch {
			case has == name:
				return where.place(i)
			case stem(has) == stem(name) && s.Bind == elf.STB_LOCAL, section && name == "" && best < 0:
				best = i
			}
		}
		if best >= 0 {
			return where.place(best)
		}
	}
	return Place{Address: address, Object: m.space.object}
}
