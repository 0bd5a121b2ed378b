// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"crypto/sha256"
	"debug/dwarf"
	"fmt"
)

// typeName writes how a type lies in memory: named ones by their names, which
// are compared themselves; what a pointer points to does not matter, but for
// the parameters of a function.
func (d *debugReader) typeName(o dwarf.Offset, depth int) string {
	if o == 0 {
		return "void"
	}
	if s, ok := d.names[o]; ok {
		return s
	}
	n := d.entries[o]
	if n == nil || depth > deepest {
		return "?"
	}
	d.names[o] = "…" // one that holds itself
	s := d.describe(n, depth+1)
	d.names[o] = s
	return s
}

func (d *debugReader) describe(n *node, depth int) string {
	inner := func() string { return d.typeName(reference(n), depth) }
	switch n.Tag {
	case dwarf.TagPointerType:
		if t := d.unqualified(reference(n)); t != nil && t.Tag == dwarf.TagSubroutineType {
			return "*" + d.signature(t, depth)
		}
		return "*"
	case dwarf.TagArrayType:
		s := inner()
		for _, c := range n.children {
			if count, ok := c.Val(dwarf.AttrCount).(int64); ok {
				s += fmt.Sprintf("[%d]", count)
			} else if upper, ok := c.Val(dwarf.AttrUpperBound).(int64); ok {
				s += fmt.Sprintf("[%d]", upper+1)
			} else {
				s += "[]"
			}
		}
		return s
	case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		return inner()
	case dwarf.TagTypedef:
		return inner()
	case dwarf.TagBaseType:
		return fmt.Sprintf("%s:%d", d.name(n), number(n, dwarf.AttrByteSize))
	case dwarf.TagEnumerationType:
		return fmt.Sprintf("enum:%d", number(n, dwarf.AttrByteSize))
	case dwarf.TagSubroutineType:
		return d.signature(n, depth)
	case dwarf.TagStructType, dwarf.TagUnionType:
		if name := d.name(n); name != "" {
			return kindOfType(n) + name
		}
		s := fmt.Sprintf("%s%d{", kindOfType(n), number(n, dwarf.AttrByteSize))
		for _, m := range d.shape(n, depth).members {
			s += fmt.Sprintf("%s@%d:%d %s;", m.name, m.offset, m.bits, m.typ)
		}
		return short(s + "}")
	}
	return n.Tag.String() + " " + d.name(n)
}

// short keeps what would grow with each level at a length that can be borne.
func short(s string) string {
	if len(s) <= 4096 {
		return s
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))
}

func (d *debugReader) unqualified(o dwarf.Offset) *node {
	for range deepest {
		n := d.entries[o]
		if n == nil {
			return nil
		}
		switch n.Tag {
		case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagTypedef, dwarf.TagRestrictType:
			o = reference(n)
		default:
			return n
		}
	}
	return nil
}

// signature of a function: here it matters what pointers point to, by name.
func (d *debugReader) signature(n *node, depth int) string {
	s := d.parameter(reference(n), depth) + "("
	for i, c := range n.children {
		switch c.Tag {
		case dwarf.TagFormalParameter:
			if i > 0 {
				s += ", "
			}
			s += d.parameter(reference(c), depth)
		case dwarf.TagUnspecifiedParameters:
			s += ", …"
		}
	}
	return short(s + ")")
}

func (d *debugReader) parameter(o dwarf.Offset, depth int) string {
	t := d.unqualified(o)
	if t == nil || t.Tag != dwarf.TagPointerType || depth > deepest {
		return d.typeName(o, depth)
	}
	if p := d.unqualified(reference(t)); p != nil {
		switch p.Tag {
		case dwarf.TagStructType, dwarf.TagUnionType, dwarf.TagBaseType, dwarf.TagEnumerationType:
			if name := d.name(p); name != "" {
				return name + " *"
			}
		case dwarf.TagPointerType:
			return d.parameter(p.Offset, depth+1) + "*"
		}
	}
	return d.typeName(t.Offset, depth)
}
