// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"debug/elf"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// siteKind is a kind of place that a kernel's build changes after the compiler.
type siteKind int

const (
	// fentry is the call at the start of a function, which objtool makes a
	// no-op (CONFIG_HAVE_OBJTOOL_NOP_MCOUNT).
	fentry siteKind = iota
	// jumpLabel is the jump that objtool makes a no-op
	// (CONFIG_HAVE_JUMP_LABEL_HACK), or the compiler's own no-op.
	jumpLabel
)

// sites are those places in one section, by offset.
type sites struct{ kinds map[uint64]siteKind }

type site struct{ kind siteKind }

func (s *sites) at(offset uint64) (site, bool) {
	if s == nil {
		return site{}, false
	}
	kind, ok := s.kinds[offset]
	return site{kind}, ok
}

var (
	nop2 = []byte{0x66, 0x90}
	nop5 = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}
)

// equal is the length of the site if its two forms are the same but for what
// is known to be changed, else 0: then the usual comparison judges.
func (s site) equal(object, image []byte) int {
	switch s.kind {
	case fentry:
		if len(object) >= 5 && object[0] == 0xe8 && bytes.HasPrefix(image, nop5) {
			return 5
		}
	case jumpLabel:
		switch {
		case len(object) >= 5 && object[0] == 0xe9 && bytes.HasPrefix(image, nop5):
			return 5
		case len(object) >= 2 && object[0] == 0xeb && bytes.HasPrefix(image, nop2):
			return 2
		}
	}
	return 0
}

// relaxed says that two instructions are such a site's two forms, of whatever
// lengths.
func (s site) relaxed(object, image []byte) bool {
	switch s.kind {
	case fentry:
		return object[0] == 0xe8 && bytes.Equal(image, nop5)
	case jumpLabel:
		return (object[0] == 0xe9 || object[0] == 0xeb) && (bytes.Equal(image, nop5) || bytes.Equal(image, nop2))
	}
	return false
}

// findSites finds them in all sections of an object.
func findSites(o *object.Object) map[*object.Section]*sites {
	all := map[*object.Section]*sites{}
	add := func(s *object.Section, offset uint64, kind siteKind) {
		if all[s] == nil {
			all[s] = &sites{map[uint64]siteKind{}}
		}
		all[s].kinds[offset] = kind
	}
	for _, s := range o.Sections {
		switch {
		case s.Flags&elf.SHF_EXECINSTR != 0:
			for _, r := range s.Relocs {
				if r.Symbol.Name == "__fentry__" && r.Symbol.Undefined() && r.Offset > 0 {
					add(s, r.Offset-1, fentry)
				}
			}
		case s.Name == "__jump_table":
			// struct jump_entry: s32 code, s32 target, long key.
			for _, r := range s.Relocs {
				if r.Offset%16 == 0 && r.Symbol.Section != nil {
					add(r.Symbol.Section, r.Symbol.Value+uint64(r.Addend), jumpLabel)
				}
			}
		}
	}
	return all
}
