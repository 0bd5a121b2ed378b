// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawn is an object of arbitrary but valid contents.
func drawn(t *rapid.T) *Object {
	o := &Object{Name: "drawn"}
	name := rapid.StringMatching(`[a-zA-Z0-9_.,]{1,12}`)
	for range rapid.IntRange(0, 6).Draw(t, "sections") {
		s := &Section{
			Name: name.Draw(t, "section"), Flags: elf.SectionFlag(rapid.SampledFrom([]uint64{0, 2, 3, 6, 0x32}).Draw(t, "flags")),
			Type:  rapid.SampledFrom([]elf.SectionType{elf.SHT_PROGBITS, elf.SHT_NOBITS, elf.SHT_NOTE}).Draw(t, "type"),
			Align: 1 << rapid.IntRange(0, 6).Draw(t, "align"), Size: rapid.Uint64Range(0, 64).Draw(t, "size"),
		}
		if s.Type != elf.SHT_NOBITS {
			s.Data = rapid.SliceOfN(rapid.Byte(), int(s.Size), int(s.Size)).Draw(t, "data")
		}
		if rapid.Bool().Draw(t, "grouped") {
			s.Group, s.Flags = rapid.SampledFrom([]string{"one", "two"}).Draw(t, "group"), s.Flags|elf.SHF_GROUP
		}
		o.Sections = append(o.Sections, s)
	}
	for _, s := range o.Sections {
		if rapid.Bool().Draw(t, "linked") {
			s.Linked, s.Flags = rapid.SampledFrom(o.Sections).Draw(t, "to"), s.Flags|elf.SHF_LINK_ORDER
		}
	}
	for range rapid.IntRange(0, 8).Draw(t, "symbols") {
		s := &Symbol{
			Name: name.Draw(t, "symbol"), Bind: rapid.SampledFrom([]elf.SymBind{elf.STB_LOCAL, elf.STB_GLOBAL, elf.STB_WEAK}).Draw(t, "bind"),
			Type: rapid.SampledFrom([]elf.SymType{elf.STT_NOTYPE, elf.STT_FUNC, elf.STT_OBJECT, elf.STT_SECTION}).Draw(t, "type"),
			Vis:  rapid.SampledFrom([]elf.SymVis{elf.STV_DEFAULT, elf.STV_HIDDEN}).Draw(t, "vis"), Size: rapid.Uint64Range(0, 9).Draw(t, "size"),
		}
		if len(o.Sections) > 0 && rapid.Bool().Draw(t, "defined") {
			s.Section = rapid.SampledFrom(o.Sections).Draw(t, "section")
			s.Value = rapid.Uint64Range(0, s.Section.Size).Draw(t, "value")
			if s.Type == elf.STT_SECTION {
				s.Name = s.Section.Name
			}
		} else {
			s.Index = rapid.SampledFrom([]elf.SectionIndex{elf.SHN_UNDEF, elf.SHN_ABS, elf.SHN_COMMON, Livepatch}).Draw(t, "index")
		}
		o.Symbols = append(o.Symbols, s)
	}
	relocs := func(s *Section) (all []Reloc) {
		if len(o.Symbols) == 0 || s.Size == 0 {
			return nil
		}
		for range rapid.IntRange(0, 4).Draw(t, "relocs") {
			all = append(all, Reloc{
				Offset: rapid.Uint64Range(0, s.Size-1).Draw(t, "offset"), Symbol: rapid.SampledFrom(o.Symbols).Draw(t, "by"),
				Type:   rapid.SampledFrom([]elf.R_X86_64{elf.R_X86_64_64, elf.R_X86_64_PC32, elf.R_X86_64_PLT32}).Draw(t, "kind"),
				Addend: rapid.Int64().Draw(t, "addend"),
			})
		}
		slices.SortStableFunc(all, byOffset)
		return all
	}
	for i, s := range o.Sections {
		s.Relocs = relocs(s)
		if more := relocs(s); more != nil && rapid.Bool().Draw(t, "table") {
			o.Tables = append(o.Tables, &Table{Name: fmt.Sprintf(".klp.rela.x.%d", i), Flags: RelaLivepatch | elf.SHF_ALLOC, Target: s, Relocs: more})
		}
	}
	return o
}

// shape is all that is in an object, with places in lists instead of
// pointers; locals first, as a file has them.
func shape(o *Object) string {
	sections, symbols := map[*Section]int{nil: -1}, map[*Symbol]int{}
	for i, s := range o.Sections {
		sections[s] = i
	}
	ordered := slices.Clone(o.Symbols)
	slices.SortStableFunc(ordered, func(a, b *Symbol) int {
		return min(int(a.Bind), 1) - min(int(b.Bind), 1)
	})
	var text bytes.Buffer
	for i, s := range ordered {
		symbols[s] = i
		fmt.Fprintln(&text, "symbol", i, s.Name, s.Bind, s.Type, s.Vis, sections[s.Section], s.Index, s.Value, s.Size)
	}
	relocs := func(all []Reloc) {
		for _, r := range all {
			fmt.Fprintln(&text, "reloc", r.Offset, r.Type, symbols[r.Symbol], r.Addend)
		}
	}
	for i, s := range o.Sections {
		fmt.Fprintf(&text, "section %d %q %v %v %d %d %d %x %q %d\n", i, s.Name, s.Type, s.Flags, s.Align, s.Entsize, s.Size, s.Data, s.Group, sections[s.Linked])
		relocs(s.Relocs)
	}
	for _, s := range o.Tables {
		fmt.Fprintf(&text, "table %q %v %d\n", s.Name, s.Flags, sections[s.Target])
		relocs(s.Relocs)
	}
	return text.String()
}

// written gives the object's file, read back.
func written(t require.TestingT, o *Object) (file []byte, back *Object) {
	var b bytes.Buffer
	require.NoError(t, o.Write(&b))
	back, err := Read(o.Name, bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	f, err := elf.NewFile(bytes.NewReader(b.Bytes()))
	require.NoError(t, err)
	for _, s := range f.Sections { // nothing lies over anything else
		if s.Addralign > 1 && s.Type != elf.SHT_NULL && s.Type != elf.SHT_NOBITS {
			require.Zero(t, s.Offset%s.Addralign, s.Name)
		}
	}
	return b.Bytes(), back
}

// TestWriteReadsBack holds that a file gives the object that was written.
func TestWriteReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawn(t)
		for _, signature := range []string{"one", "two"} { // else the writer makes symbols for them
			o.Symbols = append(o.Symbols, &Symbol{Name: signature, Bind: elf.STB_LOCAL, Index: elf.SHN_ABS})
		}
		before := shape(o)
		first, back := written(t, o)
		require.Equal(t, before, shape(o), "written to")
		require.Equal(t, before, shape(back))
		second, _ := written(t, back)
		require.Equal(t, first, second)

		copied, symbols := o.Clone()
		require.Equal(t, before, shape(copied))
		for _, s := range o.Symbols {
			require.NotSame(t, s, symbols[s])
		}
	})
}

// TestWriteMakesSignatures: a group whose symbol is gone gets one.
func TestWriteMakesSignatures(t *testing.T) {
	o := &Object{Name: "a.o", Sections: []*Section{{Name: ".text", Type: elf.SHT_PROGBITS, Align: 1, Group: "f"}}}
	_, back := written(t, o)
	require.Equal(t, "f", back.Sections[0].Group)
}

// TestWriteRefuses are objects that no file can hold.
func TestWriteRefuses(t *testing.T) {
	text := func() *Section {
		return &Section{Name: ".text", Type: elf.SHT_PROGBITS, Align: 1, Size: 4, Data: make([]byte, 4)}
	}
	f := &Symbol{Name: "f"}
	for name, o := range map[string]*Object{
		"relocation by a stranger":  {Sections: []*Section{{Name: "a", Type: elf.SHT_PROGBITS, Size: 1, Data: []byte{0}, Relocs: []Reloc{{Symbol: f}}}}},
		"relocation by nothing":     {Sections: []*Section{{Name: "a", Type: elf.SHT_PROGBITS, Size: 1, Data: []byte{0}, Relocs: []Reloc{{}}}}},
		"relocation outside":        {Sections: []*Section{{Name: "a", Type: elf.SHT_PROGBITS, Relocs: []Reloc{{Symbol: f}}}}, Symbols: []*Symbol{f}},
		"symbol in a stranger":      {Symbols: []*Symbol{{Name: "f", Section: text()}}},
		"symbol outside":            {Sections: []*Section{{Name: "a", Type: elf.SHT_NOBITS}}, Symbols: []*Symbol{{Name: "f", Index: 7}}},
		"zero byte in a name":       {Symbols: []*Symbol{{Name: "f\x00g"}}},
		"zero byte in a section":    {Sections: []*Section{{Name: "a\x00b", Type: elf.SHT_NOBITS}}},
		"data of another size":      {Sections: []*Section{{Name: "a", Type: elf.SHT_PROGBITS, Size: 9}}},
		"crooked alignment":         {Sections: []*Section{{Name: "a", Type: elf.SHT_NOBITS, Align: 3}}},
		"huge alignment":            {Sections: []*Section{{Name: "a", Type: elf.SHT_NOBITS, Align: 1 << 40}}},
		"table of a stranger":       {Tables: []*Table{{Name: "t", Flags: RelaLivepatch, Target: text()}}},
		"table that is not one":     {Sections: []*Section{{Name: "a", Type: elf.SHT_NOBITS}}, Tables: []*Table{{Name: "t"}}},
		"a symbol table of its own": {Sections: []*Section{{Name: "a", Type: elf.SHT_SYMTAB}}},
		"linked to a stranger":      {Sections: []*Section{{Name: "a", Type: elf.SHT_NOBITS, Flags: elf.SHF_LINK_ORDER, Linked: text()}}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			require.Error(t, o.Write(&b))
			require.Zero(t, b.Len(), "written all the same")
		})
	}
}

// FuzzWrite writes whatever the reader takes: it is the same when read back.
func FuzzWrite(f *testing.F) {
	for seed := range 4 {
		var b bytes.Buffer
		o := rapid.Custom(drawn).Example(seed)
		require.NoError(f, o.Write(&b))
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Read("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if o.Write(&b) != nil {
			return
		}
		_, back := written(t, o)
		again, twice := written(t, back)
		require.Equal(t, shape(back), shape(twice))
		require.NotEmpty(t, again)
	})
}
