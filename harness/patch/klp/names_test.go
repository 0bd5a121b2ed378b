// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"debug/elf"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// code is an object that defines and uses names.
func code(defines []string, uses ...string) (*object.Object, map[string]*object.Symbol) {
	text := &object.Section{Name: ".text", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Size: 64, Data: make([]byte, 64)}
	o := &object.Object{Name: "a.o", Sections: []*object.Section{text}}
	all := map[string]*object.Symbol{}
	for _, name := range defines {
		all[name] = &object.Symbol{Name: name, Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Section: text, Size: 8}
		o.Symbols = append(o.Symbols, all[name])
	}
	for i, name := range uses {
		all[name] = &object.Symbol{Name: name, Bind: elf.STB_GLOBAL}
		o.Symbols = append(o.Symbols, all[name])
		text.Relocs = append(text.Relocs, object.Reloc{Offset: uint64(8 * i), Type: elf.R_X86_64_PLT32, Symbol: all[name], Addend: -4})
	}
	return o, all
}

// TestLinkNames holds which symbols keep the names of the source for objtool,
// and that no two meanings come to have one name.
func TestLinkNames(t *testing.T) {
	exported := exports{
		"printk":    {owner: VMLinux},
		"dma_thing": {owner: VMLinux, namespace: "DMA"},
		"fat_sync":  {owner: "fat"},
	}
	image := func(name string, sympos uint64) Symbol { return Symbol{Object: VMLinux, Name: name, Sympos: sympos} }
	type part struct {
		object  string
		defines []string
		uses    []string
		symbols map[string]Symbol
	}
	for _, c := range []struct {
		name  string
		parts []part
		links map[string]string // name for linking to section and symbol
		named [][]string        // the parts' undefined symbols as they are linked, sorted
	}{
		{"one meaning", []part{{VMLinux, nil, []string{"secret", "printk"}, map[string]Symbol{"secret": image("secret", 0), "printk": {Object: VMLinux, Name: "printk", Exported: true}}}},
			map[string]string{"secret": "vmlinux .klp.sym.vmlinux.secret,0"}, [][]string{{"printk", "secret"}}},
		{"two of one name", []part{
			{VMLinux, nil, []string{"calls"}, map[string]Symbol{"calls": image("calls", 1)}},
			{VMLinux, nil, []string{"calls"}, map[string]Symbol{"calls": image("calls", 2)}}},
			map[string]string{"__klp.vmlinux.klp.sym.vmlinux.calls,1": "vmlinux .klp.sym.vmlinux.calls,1", "__klp.vmlinux.klp.sym.vmlinux.calls,2": "vmlinux .klp.sym.vmlinux.calls,2"},
			[][]string{{"__klp.vmlinux.klp.sym.vmlinux.calls,1"}, {"__klp.vmlinux.klp.sym.vmlinux.calls,2"}}},
		{"the image's name differs", []part{{VMLinux, nil, []string{"f"}, map[string]Symbol{"f": image("f.isra.0", 0)}}},
			map[string]string{"f": "vmlinux .klp.sym.vmlinux.f.isra.0,0"}, [][]string{{"f"}}},
		{"exported for a namespace", []part{{VMLinux, nil, []string{"dma_thing"}, map[string]Symbol{"dma_thing": {Object: VMLinux, Name: "dma_thing", Exported: true}}}},
			map[string]string{"__klp.vmlinux.klp.sym.vmlinux.dma_thing,0": "vmlinux .klp.sym.vmlinux.dma_thing,0"}, [][]string{{"__klp.vmlinux.klp.sym.vmlinux.dma_thing,0"}}},
		{"another module's export", []part{{"vfat", nil, []string{"fat_sync"}, map[string]Symbol{"fat_sync": {Object: "fat", Name: "fat_sync", Exported: true}}}},
			map[string]string{"__klp.vfat.klp.sym.fat.fat_sync,0": "vfat .klp.sym.fat.fat_sync,0"}, [][]string{{"__klp.vfat.klp.sym.fat.fat_sync,0"}}},
		{"the image's static in a module's part", []part{{"vfat", nil, []string{"secret"}, map[string]Symbol{"secret": image("secret", 3)}}},
			map[string]string{"secret": "vmlinux .klp.sym.vmlinux.secret,3"}, [][]string{{"secret"}}},
		{"a static call", []part{{VMLinux, nil, []string{"__SCT__call"}, map[string]Symbol{"__SCT__call": image("__SCT__call", 0)}}},
			map[string]string{"__SCT__call": "vmlinux .klp.sym.vmlinux.__SCT__call,0", "__SCK__call": "vmlinux .klp.sym.vmlinux.__SCK__call,0"}, [][]string{{"__SCK__call", "__SCT__call"}}},
		{"new in another part", []part{
			{VMLinux, []string{"helper", "old"}, nil, nil},
			{VMLinux, nil, []string{"helper", "old"}, map[string]Symbol{"old": image("old", 0)}}},
			map[string]string{"old": "vmlinux .klp.sym.vmlinux.old,0"}, [][]string{{}, {"helper", "old"}}},
		{"new here, old there", []part{
			{VMLinux, []string{"helper"}, nil, nil},
			{VMLinux, nil, []string{"helper"}, nil},
			{VMLinux, nil, []string{"helper"}, map[string]Symbol{"helper": image("helper", 0)}}},
			map[string]string{"__klp.vmlinux.klp.sym.vmlinux.helper,0": "vmlinux .klp.sym.vmlinux.helper,0"},
			[][]string{{}, {"helper"}, {"__klp.vmlinux.klp.sym.vmlinux.helper,0"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &Module{Name: "m"}
			for _, p := range c.parts {
				o, symbols := code(p.defines, p.uses...)
				made := Part{Object: p.object, Code: o, Symbols: map[*object.Symbol]Symbol{}}
				for name, s := range p.symbols {
					made.Symbols[symbols[name]] = s
				}
				m.Parts = append(m.Parts, made)
			}
			l := newLinks(m, exported)
			for i := range m.Parts {
				o, err := l.part(i, &m.Parts[i])
				require.NoError(t, err)
				named := []string{}
				for _, s := range o.Symbols {
					switch {
					case s.Undefined():
						named = append(named, s.Name)
					case s.Name == "helper":
						require.Equal(t, elf.STB_GLOBAL, s.Bind, "another part could not find it")
					default:
						require.Equal(t, elf.STB_LOCAL, s.Bind, "%s would be taken for another", s.Name)
					}
				}
				slices.Sort(named)
				require.Equal(t, c.named[i], named)
			}
			links := map[string]string{}
			for name, to := range l.targets {
				links[name] = to.section + " " + to.symbol()
			}
			require.Equal(t, c.links, links, "%v", slices.Sorted(maps.Keys(links)))
		})
	}
}

// TestPerCPU: data of each CPU's lies where a module's loader looks for it, and
// other data where it lay.
func TestPerCPU(t *testing.T) {
	o, _ := code([]string{"f"})
	data := map[string]string{
		".data..percpu": ".data..percpu", ".data..percpu..shared_aligned": ".data..percpu", ".data..percpu..first": ".data..percpu", ".data..percpu..hot.x": ".data..percpu",
		".data..percpuish": ".data..percpuish", ".data..read_mostly": ".data..read_mostly", ".rodata..percpu..x": ".rodata..percpu..x",
	}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		o.Sections = append(o.Sections, &object.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 8, Size: 8, Data: make([]byte, 8)})
	}
	m := &Module{Parts: []Part{{Object: VMLinux, Code: o}}}
	made, err := newLinks(m, exports{}).part(0, &m.Parts[0])
	require.NoError(t, err)
	for i, s := range o.Sections[1:] {
		require.Equal(t, data[s.Name], made.Sections[i+1].Name, s.Name)
	}
}
