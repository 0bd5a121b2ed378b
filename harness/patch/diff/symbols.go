// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"debug/elf"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

func local(s *object.Symbol) bool { return s.Bind == elf.STB_LOCAL }

func isFunction(s *object.Symbol) bool {
	return s.Type == elf.STT_FUNC && s.Section != nil && s.Section.Flags&elf.SHF_EXECINSTR != 0
}

// isData says that s is a variable, not a constant or an entry of a table
// that the kernel's macros make.
func isData(s *object.Symbol) bool {
	return s.Type == elf.STT_OBJECT && s.Section.Flags&elf.SHF_WRITE != 0 && !strings.HasPrefix(s.Name, "__UNIQUE_ID") && !strings.HasPrefix(s.Name, "__SCK__") &&
		(strings.HasPrefix(s.Section.Name, ".data") || strings.HasPrefix(s.Section.Name, ".bss"))
}
