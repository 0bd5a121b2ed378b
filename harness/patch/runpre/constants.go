// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// otherConstants says, for each section of constants whose place is known,
// where the kernel has other content; what is the same is not in it. Two
// tables of one code can make it do different things.
func (m *matcher) otherConstants() map[*object.Section]string {
	all := map[*object.Section]string{}
	for s, base := range m.sections {
		if !isConstant(s) {
			continue
		}
		image := m.space.at(base, len(s.Data))
		if len(image) < len(s.Data) {
			all[s] = fmt.Sprintf("the image ends %#x bytes into it", len(image))
			continue
		}
		filled := make([]bool, len(s.Data)) // by the linker
		for _, r := range s.Relocs {
			n, _ := width(r.Type)
			for i := r.Offset; i < min(r.Offset+uint64(n), uint64(len(filled))); i++ {
				filled[i] = true
			}
		}
		for i, b := range s.Data {
			if image[i] != b && !filled[i] {
				all[s] = fmt.Sprintf("at +%#x the kernel has %s, the source %s", i, show(image[i:]), show(s.Data[i:]))
				break
			}
		}
	}
	return all
}

// isConstant says that a section holds data that nobody changes. What is for
// the build's own tools (.BTF_ids) is changed by them.
func isConstant(s *object.Section) bool {
	return s.Type == elf.SHT_PROGBITS && s.Flags&(elf.SHF_ALLOC|elf.SHF_WRITE|elf.SHF_EXECINSTR|elf.SHF_MERGE) == elf.SHF_ALLOC &&
		strings.HasPrefix(s.Name, ".rodata")
}

// refersToOther says which reference of c is to constants that differ; nil if
// none.
func refersToOther(c candidate, other map[*object.Section]string) *mismatch {
	for _, ref := range c.refs {
		if s := ref.reloc.Symbol.Section; s != nil {
			if why, ok := other[s]; ok {
				return &mismatch{ref.offset, fmt.Sprintf("it refers to the constants %s, which differ: %s", s.Name, why)}
			}
		}
	}
	return nil
}
