// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestDropLateCalls: a call whose callee comes later is no longer listed, and
// the entries behind it move up.
func TestDropLateCalls(t *testing.T) {
	o, symbols := code(nil, "one", "two", "three")
	sites := &object.Section{Name: callSites, Type: elf.SHT_PROGBITS, Size: 12, Data: make([]byte, 12)}
	here := &object.Symbol{Name: ".text", Type: elf.STT_SECTION, Section: o.Sections[0]}
	for i, r := range o.Sections[0].Relocs {
		sites.Relocs = append(sites.Relocs, object.Reloc{Offset: uint64(4 * i), Type: elf.R_X86_64_PC32, Symbol: here, Addend: int64(r.Offset) - 1})
	}
	o.Sections, o.Symbols = append(o.Sections, sites), append(o.Symbols, here)
	l := &links{targets: map[string]target{"two": {section: "vfat", object: "fat", name: "two"}}}
	l.handOver(o)
	dropLateCalls(o)
	require.EqualValues(t, 8, sites.Size)
	require.Len(t, sites.Relocs, 2)
	require.EqualValues(t, 4, sites.Relocs[1].Offset)
	require.EqualValues(t, 15, sites.Relocs[1].Addend)
	require.Equal(t, ".klp.sym.fat.two,0", symbols["two"].Name)
	require.NoError(t, o.Write(&bytes.Buffer{}))
}

// FuzzFinish hands relocations of arbitrary objects over: each is there once
// afterwards, the same but for its table, and hostile objects are no harm.
func FuzzFinish(f *testing.F) {
	o, _ := code([]string{"f"}, "one", "two", "printk")
	var seed bytes.Buffer
	require.NoError(f, o.Write(&seed))
	f.Add(seed.Bytes(), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, choice byte) {
		o, err := object.Read("fuzz", bytes.NewReader(data))
		if err != nil || len(o.Tables) > 0 || slices.ContainsFunc(o.Symbols, func(s *object.Symbol) bool { return s.Index == object.Livepatch }) {
			return
		}
		l := &links{exports: exports{}, targets: map[string]target{}}
		for i, s := range o.Symbols {
			if s.Undefined() && s.Name != "" && choice>>(i%8)&1 == 1 {
				l.targets[s.Name] = target{section: []string{VMLinux, "vfat"}[i%2], object: VMLinux, name: "x", sympos: uint64(i)}
			}
		}
		before := relocations(o)
		b := &builder{kit: &kernels.Kit{}, links: l}
		_ = l.missing(o)
		l.handOver(o)
		require.Equal(t, before, relocations(o))
		for _, s := range o.Sections {
			for _, r := range s.Relocs {
				require.NotEqual(t, object.Livepatch, r.Symbol.Index, "left for the loader")
			}
		}
		for _, table := range o.Tables {
			for _, r := range table.Relocs {
				require.Equal(t, object.Livepatch, r.Symbol.Index)
			}
		}
		dropLateCalls(o)
		_ = b.judge(o)
		var file bytes.Buffer
		if o.Write(&file) != nil {
			return
		}
		_, err = object.Read("written", bytes.NewReader(file.Bytes()))
		require.NoError(t, err)
	})
}

// relocations are all of an object, wherever they stand.
func relocations(o *object.Object) (all []string) {
	add := func(s *object.Section, relocs []object.Reloc) {
		for _, r := range relocs {
			all = append(all, fmt.Sprintf("%p %d %v %p %d", s, r.Offset, r.Type, r.Symbol, r.Addend))
		}
	}
	for _, s := range o.Sections {
		add(s, s.Relocs)
	}
	for _, t := range o.Tables {
		add(t.Target, t.Relocs)
	}
	slices.Sort(all)
	return all
}
