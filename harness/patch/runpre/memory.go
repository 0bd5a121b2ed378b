// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// Expectation is what a function must look like in the memory of a kernel that
// runs: what the image has, moved to where it was loaded, but for the places
// that the kernel rewrites by itself. It can be kept as JSON beside a module.
type Expectation struct {
	Function string
	Object   string  // VMLinux or a module
	Section  string  // of a module's; "" in vmlinux
	Address  uint64  // in the image; of a module in its section
	Code     []byte  // as the image has it; Fields count from where their sections begin
	Masked   []Range // of Code, what the kernel may rewrite
	Fields   []Field // of Code, what depends on where things were loaded
}

// Range is From up to but not including To, in bytes.
type Range struct{ From, To int }

// Field is a reference in a function's code.
type Field struct {
	At, Width int    // in Code, bytes
	Relative  bool   // to its own place
	Object    string // who has what it refers to
	Section   string // of a module's; "" in vmlinux
}

// Memory is a running kernel's memory.
type Memory struct {
	// Slide is what KASLR adds to the addresses of the image.
	Slide uint64
	// Section is where a module's section was loaded, as
	// /sys/module/MODULE/sections tells; ok is false if it is not there.
	Section func(module, section string) (address uint64, ok bool)
	// Read gives n bytes from a virtual address on.
	Read func(address uint64, n int) ([]byte, error)
}

// Difference is the first place where memory is not as expected.
type Difference struct {
	Function string
	Offset   uint64 // in the function as the kernel has it
	Want     []byte
	Got      []byte
}

func (d *Difference) Error() string {
	return fmt.Sprintf("%s+%#x: in memory there is %s instead of %s: somebody changed the code since the kernel was built", d.Function, d.Offset, show(d.Got), show(d.Want))
}

// MatchMemory compares the functions that Match found with a running kernel's
// memory. Errors: what Read says; what differs is given as a list.
func MatchMemory(report *Report, m Memory) ([]*Difference, error) {
	var all []*Difference
	for _, e := range report.Expect() {
		d, err := e.Check(m)
		if err != nil {
			return nil, err
		}
		if d != nil {
			all = append(all, d)
		}
	}
	return all, nil
}

// loaded is how far something was moved from where the image has it.
func (m Memory) loaded(object, section string) (slide uint64, ok bool) {
	switch object {
	case nowhere:
		return 0, true
	case VMLinux:
		return m.Slide, true
	case unknown:
		return 0, false
	}
	if m.Section == nil {
		return 0, false
	}
	return m.Section(object, section)
}

// Check compares a function with memory; nil if it is as expected, or not
// there: a module that is not loaded, code that was for booting only.
func (e Expectation) Check(m Memory) (*Difference, error) {
	slide, ok := m.loaded(e.Object, e.Section)
	if !ok {
		return nil, nil
	}
	at := e.Address + slide
	got, err := m.Read(at, len(e.Code))
	if err != nil {
		return nil, fmt.Errorf("memory of %s at %#x: %w", e.Function, at, err)
	}
	if len(got) != len(e.Code) {
		return nil, fmt.Errorf("memory of %s at %#x: %d bytes of %d", e.Function, at, len(got), len(e.Code))
	}
	want := slices.Clone(e.Code)
	free := make([]bool, len(want))
	for _, r := range e.Masked {
		for i := max(r.From, 0); i < min(r.To, len(free)); i++ {
			free[i] = true
		}
	}
	for _, f := range e.Fields {
		to, ok := m.loaded(f.Object, f.Section)
		if !ok {
			for i := f.At; i < f.At+f.Width; i++ {
				free[i] = true
			}
			continue
		}
		if f.Relative {
			to -= slide
		}
		add(want[f.At:], f.Width, to)
	}
	for i := range want {
		if got[i] != want[i] && !free[i] {
			return &Difference{e.Function, uint64(i), want[i:], got[i:]}, nil
		}
	}
	return nil, nil
}

// Expect gives what the functions that were found must be in memory: those of
// these names, or all.
func (r *Report) Expect(names ...string) (all []Expectation) {
	if r.matcher == nil {
		return nil
	}
	m := r.matcher
	rewritten := rewrites(m.object)
	for _, f := range m.functions() {
		if len(names) > 0 && !slices.Contains(names, f.symbol.Name) {
			continue
		}
		c, ok := m.found[f.symbol]
		if report := r.Function(f.symbol.Name); !ok || report == nil || !report.OK {
			continue
		}
		if g := m.space.segmentAt(c.address); g == nil || strings.HasPrefix(g.name, ".init") || strings.HasPrefix(g.name, ".exit") {
			continue // gone once the kernel has booted
		}
		all = append(all, m.expect(f, c, rewritten[f.symbol.Section]))
	}
	return all
}

func (m *matcher) expect(f *function, c candidate, rewritten []Range) Expectation {
	// where an offset of the object is in the image
	moved := func(offset int) int {
		if c.moved == nil {
			return offset
		}
		for back := range 16 { // inside of an instruction
			if s, ok := c.moved[offset-back]; ok {
				return s.last + back
			}
		}
		return offset
	}
	length := moved(len(f.code))
	e := Expectation{Function: f.symbol.Name, Object: m.space.object, Address: c.address, Code: slices.Clone(m.space.at(c.address, length))}
	if g := m.space.segmentAt(c.address); m.space != m.image.vmlinux && g != nil {
		e.Section, e.Address = g.name, c.address-g.address
	}
	start := int(f.symbol.Value)
	for _, r := range rewritten {
		if r.To > start && r.From < start+len(f.code) {
			e.Masked = append(e.Masked, Range{moved(r.From - start), moved(r.From-start) + r.To - r.From})
		}
	}
	if len(e.Code) >= len(endbr64) && slices.Equal(e.Code[:len(endbr64)], endbr64) {
		e.Masked = append(e.Masked, Range{0, len(endbr64)}) // sealed where nobody calls it by pointer
	}
	own := m.begins(e.Object, e.Section)
	for i := range f.relocs {
		field, ok := m.field(&f.relocs[i], f, c, moved, e.Code)
		if !ok {
			continue
		}
		e.Fields = append(e.Fields, field)
		from := own
		if !field.Relative {
			from = 0
		}
		add(e.Code[field.At:], field.Width, from-m.begins(field.Object, field.Section))
	}
	return e
}

// begins is where a module's section lies beside the image, which is no place
// that it is ever loaded at; 0 for what is in the image.
func (m *matcher) begins(object, section string) uint64 {
	for _, where := range m.spaces() {
		if where.object != object || where == m.image.vmlinux {
			continue
		}
		for _, g := range where.segments {
			if g.name == section {
				return g.address
			}
		}
	}
	return 0
}

// add adds to a number of width bytes.
func add(code []byte, width int, n uint64) {
	if width == 8 {
		binary.LittleEndian.PutUint64(code, binary.LittleEndian.Uint64(code)+n)
	} else {
		binary.LittleEndian.PutUint32(code, binary.LittleEndian.Uint32(code)+uint32(n))
	}
}

// field is a relocation of f in the image's code; ok is false where a jump got
// too short for one.
func (m *matcher) field(r *object.Reloc, f *function, c candidate, moved func(int) int, code []byte) (Field, bool) {
	n, relative := width(r.Type)
	at := moved(int(r.Offset - f.symbol.Value))
	if n == 0 || at < 0 || at+n > len(code) {
		return Field{}, false
	}
	to := target(r, code[at:at+n], c.address+uint64(at)) + uint64(r.Addend)
	field := Field{At: at, Width: n, Relative: relative}
	for _, where := range m.spaces() {
		if where == m.image.vmlinux {
			if to >= kernelFrom && to < modulesFrom {
				field.Object = VMLinux
				return field, true
			}
			continue
		}
		if g := where.segmentNear(to); g != nil {
			field.Object, field.Section = where.object, g.name
			return field, true
		}
	}
	// A number, or the offset of a CPU's variable: the same wherever the
	// kernel lies. Relative to code it moves by as much as that does not.
	if relative && to < kernelFrom {
		field.Object, field.Section = nowhere, ""
		return field, true
	}
	field.Object = unknown // another module, most likely
	return field, true
}

// kernelFrom is where the kernel's image may begin to lie; nowhere is the
// object of what does not move, unknown of what is not compared.
const (
	kernelFrom = 0xffffffff80000000
	nowhere    = ""
	unknown    = "?"
)
