// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// DebugInfo is what the debug information of one translation unit says about
// its source.
type DebugInfo struct {
	shapes      map[string]shape // struct, union and typedef by "struct name"
	enumerators map[string]enumerator
	functions   map[string]declared
}

// Place is a line of the source.
type Place struct {
	File string // relative to the top of the source where that was given
	Line int    // 1 is the first
}

// shape is how a type lies in memory.
type shape struct {
	Place
	size    int64
	members []member
}

type member struct {
	name, typ    string
	offset, bits int64 // offset in bits
}

type enumerator struct {
	Place
	enum  string
	value int64
	last  bool // the largest of its enum
}

// declared is a function of the source.
type declared struct {
	Place
	signature string // types of result and parameters
	inline    bool   // the compiler took it into others
	alone     bool   // and, or, it has code of its own
}

// deepest is how far types are followed into each other before the
// information is not believed.
const deepest = 64

// deepestBlock is the same for blocks in blocks.
const deepestBlock = 1000

// ReadDebugInfo reads the debug information of an object compiled with -g.
// top is the folder of the source as the compiler knew it; it is cut off from
// the names of files.
func ReadDebugInfo(r io.ReaderAt, top string) (_ *DebugInfo, err error) {
	defer func() {
		// debug/dwarf is hardened, but what it reads may be hostile and big.
		if p := recover(); p != nil {
			err = fmt.Errorf("debug information: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("debug information: %w", err)
	}
	for _, s := range f.Sections {
		if strings.HasPrefix(s.Name, ".debug_") && s.Size > 1<<30 {
			return nil, fmt.Errorf("debug information: section %s has %d bytes, which is not believed", s.Name, s.Size)
		}
	}
	data, err := f.DWARF()
	if err != nil {
		return nil, fmt.Errorf("debug information: %w", err)
	}
	d := debugReader{data: data, top: strings.TrimSuffix(top, "/") + "/", made: &DebugInfo{shapes: map[string]shape{}, enumerators: map[string]enumerator{}, functions: map[string]declared{}}, names: map[dwarf.Offset]string{}, entries: map[dwarf.Offset]*node{}}
	if err := d.read(); err != nil {
		return nil, fmt.Errorf("debug information: %w", err)
	}
	return d.made, nil
}

// Place says where a function stands in the source.
func (d *DebugInfo) Place(function string) (Place, bool) {
	f, ok := d.functions[function]
	return f.Place, ok && f.Line > 0
}

// FunctionAt gives the function of the source that a line belongs to: the
// last one that begins before it.
func (d *DebugInfo) FunctionAt(file string, line int) (string, bool) {
	best, found := 0, ""
	for name, f := range d.functions {
		if f.File == file && f.Line <= line && (f.Line > best || f.Line == best && name < found) {
			best, found = f.Line, name
		}
	}
	return found, found != ""
}

// Within makes of what is known of a file's lines what is known of a
// function's: only its own lines, and those of functions that were taken into
// others, can be its __LINE__.
func (d *DebugInfo) Within(moved func(file string, line int) (int, bool)) Moved {
	return func(_, function string, line int) (int, bool) {
		p, ok := d.Place(function)
		if !ok {
			return 0, false
		}
		if at, ok := d.FunctionAt(p.File, line); !ok || at != function && !d.functions[at].inline {
			return 0, false
		}
		return moved(p.File, line)
	}
}

// OnlyInlined says that the compiler took the function into all its callers
// and left no copy that stands alone.
func (d *DebugInfo) OnlyInlined(function string) bool {
	f := d.functions[function]
	return f.inline && !f.alone
}

// node is an entry with its children.
type node struct {
	*dwarf.Entry
	children []*node
}

type debugReader struct {
	data    *dwarf.Data
	top     string
	made    *DebugInfo
	files   []*dwarf.LineFile
	entries map[dwarf.Offset]*node
	names   map[dwarf.Offset]string
}

func (d *debugReader) read() error {
	r := d.data.Reader()
	var stack []*node
	var roots []*node
	for {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil {
			break
		}
		if e.Tag == 0 {
			if len(stack) == 0 {
				return errors.New("entries end that did not begin")
			}
			stack = stack[:len(stack)-1]
			continue
		}
		n := &node{Entry: e}
		d.entries[e.Offset] = n
		if len(stack) > 0 {
			top := stack[len(stack)-1]
			top.children = append(top.children, n)
		} else {
			roots = append(roots, n)
		}
		if e.Children {
			if stack = append(stack, n); len(stack) > deepestBlock {
				return errors.New("entries in entries without end")
			}
		}
	}
	if len(roots) == 0 {
		return errors.New("there is none; compile with -g")
	}
	for _, root := range roots {
		d.files = nil
		if root.Tag == dwarf.TagCompileUnit {
			if lines, err := d.data.LineReader(root.Entry); err == nil && lines != nil {
				d.files = lines.Files()
			}
		}
		d.walk(root)
	}
	return nil
}

func (d *debugReader) walk(n *node) {
	switch n.Tag {
	case dwarf.TagStructType, dwarf.TagUnionType:
		if name := d.name(n); name != "" && !flag(n, dwarf.AttrDeclaration) {
			d.made.shapes[kindOfType(n)+name] = d.shape(n, 0)
		}
	case dwarf.TagTypedef:
		if t := d.entries[reference(n)]; t != nil && (t.Tag == dwarf.TagStructType || t.Tag == dwarf.TagUnionType) && d.name(t) == "" {
			d.made.shapes[d.name(n)] = d.shape(t, 0)
		}
	case dwarf.TagEnumerationType:
		d.enum(n)
	case dwarf.TagSubprogram:
		d.function(n)
	}
	for _, c := range n.children {
		d.walk(c)
	}
}

func (d *debugReader) name(n *node) string {
	s, _ := n.Val(dwarf.AttrName).(string)
	return s
}

func flag(n *node, a dwarf.Attr) bool {
	b, _ := n.Val(a).(bool)
	return b
}

func number(n *node, a dwarf.Attr) int64 {
	i, _ := n.Val(a).(int64)
	return i
}

func reference(n *node) dwarf.Offset {
	o, _ := n.Val(dwarf.AttrType).(dwarf.Offset)
	return o
}

func kindOfType(n *node) string {
	switch n.Tag {
	case dwarf.TagUnionType:
		return "union "
	case dwarf.TagEnumerationType:
		return "enum "
	}
	return "struct "
}

func (d *debugReader) place(n *node) Place {
	p := Place{Line: int(number(n, dwarf.AttrDeclLine))}
	if i := number(n, dwarf.AttrDeclFile); i >= 0 && int(i) < len(d.files) && d.files[i] != nil {
		p.File = strings.TrimPrefix(d.files[i].Name, d.top)
	}
	return p
}

func (d *debugReader) shape(n *node, depth int) shape {
	s := shape{Place: d.place(n), size: number(n, dwarf.AttrByteSize)}
	for _, c := range n.children {
		if c.Tag != dwarf.TagMember {
			continue
		}
		m := member{name: d.name(c), typ: d.typeName(reference(c), depth), offset: 8 * number(c, dwarf.AttrDataMemberLoc), bits: number(c, dwarf.AttrBitSize)}
		if b, ok := c.Val(dwarf.AttrDataBitOffset).(int64); ok {
			m.offset = b
		} else if b, ok := c.Val(dwarf.AttrBitOffset).(int64); ok { // of DWARF 2 and 3, from the other end
			m.offset += number(c, dwarf.AttrByteSize)*8 - b - m.bits
		}
		s.members = append(s.members, m)
	}
	return s
}

func (d *debugReader) enum(n *node) {
	last := int64(-1 << 63)
	for _, c := range n.children {
		last = max(last, number(c, dwarf.AttrConstValue))
	}
	for _, c := range n.children {
		if name := d.name(c); name != "" {
			v := number(c, dwarf.AttrConstValue)
			d.made.enumerators[name] = enumerator{Place: d.place(n), enum: d.name(n), value: v, last: v == last}
		}
	}
}

func (d *debugReader) function(n *node) {
	origin := n
	if o, ok := n.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok && d.entries[o] != nil {
		origin = d.entries[o]
	}
	name := d.name(origin)
	if name == "" || flag(n, dwarf.AttrDeclaration) {
		return
	}
	f := d.made.functions[name]
	if f.Line == 0 {
		f.Place = d.place(origin)
	}
	if f.signature == "" {
		f.signature = d.signature(origin, 0)
	}
	if i := number(origin, dwarf.AttrInline); i == 1 || i == 3 { // DW_INL_inlined, DW_INL_declared_inlined
		f.inline = true
	}
	if n.Val(dwarf.AttrLowpc) != nil || n.Val(dwarf.AttrRanges) != nil {
		f.alone = true
	}
	d.made.functions[name] = f
}
