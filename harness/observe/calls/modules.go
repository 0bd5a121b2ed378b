// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// module is the functions of one module, from its file and from where its
// sections lie. /proc/kallsyms has them as well, behind all of the kernel's.
type module struct {
	name      string
	functions []moduleFunction // in the order of the symbol table
	sites     int              // fentry sites, of all its sections
	placed    bool
	byAddress []int // of functions, once placed
}

type moduleFunction struct {
	name         string
	section      string
	offset, size uint64
	address      uint64
	absent       bool
}

// maxModule bounds a module's file.
const maxModule = 256 << 20

// readModule reads the functions of a module's file.
func readModule(name string, r io.ReaderAt) (m *module, err error) {
	defer func() { // debug/elf says that it may panic on input it was not made for
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("module %s: %v", name, p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", name, err)
	}
	m = &module{name: name}
	if s := f.Section("__mcount_loc"); s != nil {
		m.sites = int(s.Size / 8)
	}
	for _, s := range symbols {
		i := int(s.Section)
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || i <= 0 || i >= len(f.Sections) || f.Sections[i].Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		m.functions = append(m.functions, moduleFunction{name: s.Name, section: f.Sections[i].Name, offset: s.Value, size: s.Size})
	}
	return m, nil
}

// place finds where the module's functions lie now; ok is false while it is not
// loaded.
func (m *module) place(sys string) (ok bool) {
	if m.placed {
		return true
	}
	bases := map[string]uint64{}
	for i := range m.functions {
		f := &m.functions[i]
		base, known := bases[f.section]
		if !known {
			base = sectionAddress(sys, m.name, f.section)
			bases[f.section] = base
		}
		if f.absent = base == 0; !f.absent {
			f.address, m.placed = base+f.offset, true
			m.byAddress = append(m.byAddress, i)
		}
	}
	slices.SortStableFunc(m.byAddress, func(a, b int) int {
		if m.functions[a].address < m.functions[b].address {
			return -1
		}
		return 1
	})
	return m.placed
}

func sectionAddress(sys, module, section string) uint64 {
	b, err := os.ReadFile(filepath.Join(sys, "module", module, "sections", section))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(b)), "0x"), 16, 64)
	return n
}

// find is the function that holds address.
func (m *module) find(address uint64) *moduleFunction {
	i, _ := slices.BinarySearchFunc(m.byAddress, address, func(i int, address uint64) int {
		if m.functions[i].address <= address {
			return -1
		}
		return 1
	})
	if i == 0 {
		return nil
	}
	f := &m.functions[m.byAddress[i-1]]
	if address >= f.address+max(f.size, 1) {
		return nil
	}
	return f
}

// lookup is the function of that name, as image.lookup; of a module they are
// counted in the order of its symbol table, as the kernel does.
func (m *module) lookup(name string, sympos uint64) *moduleFunction {
	var only *moduleFunction
	n := uint64(0)
	for i := range m.functions {
		if f := &m.functions[i]; f.name == name {
			if n++; n == sympos {
				return f
			}
			only = f
		}
	}
	if sympos == 0 && n == 1 {
		return only
	}
	return nil
}
