// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
)

// segment is content that stands at an address.
type segment struct {
	name    string // the section
	address uint64
	size    uint64 // more than the content of one that begins as zeros
	data    []byte
}

// space is what one object, vmlinux or a module, puts into the kernel's
// address space.
type space struct {
	object    string
	segments  []segment // by address
	symbols   []Symbol  // in the order by which a live patch counts them
	byName    map[string][]int
	byAddress []int // indices of symbols
	stems     func() map[string][]int
	exports   map[string]btf.Export
	needs     []*space // of a module: those whose symbols it may use
}

func newSpace(object string, segments []segment, symbols []Symbol) *space {
	s := &space{object: object, segments: segments, symbols: symbols, byName: make(map[string][]int, len(symbols))}
	slices.SortStableFunc(s.segments, func(a, b segment) int { return cmp.Compare(a.address, b.address) })
	s.byAddress = make([]int, len(symbols))
	for i, sym := range symbols {
		s.byName[sym.Name] = append(s.byName[sym.Name], i)
		s.byAddress[i] = i
	}
	slices.SortStableFunc(s.byAddress, func(a, b int) int { return cmp.Compare(symbols[a].Address, symbols[b].Address) })
	s.stems = sync.OnceValue(func() map[string][]int {
		all := map[string][]int{}
		for i, sym := range symbols {
			if short := stem(sym.Name); short != sym.Name {
				all[short] = append(all[short], i)
			}
		}
		return all
	})
	return s
}

// byStem are the numbered symbols by their stems.
func (s *space) byStem() map[string][]int { return s.stems() }

// segmentAt is the one that holds address, nil without.
func (s *space) segmentAt(address uint64) *segment {
	i, found := slices.BinarySearchFunc(s.segments, address, func(g segment, a uint64) int { return cmp.Compare(g.address, a) })
	if !found {
		i--
	}
	if i < 0 || address-s.segments[i].address >= uint64(len(s.segments[i].data)) {
		return nil
	}
	return &s.segments[i]
}

// segmentNear is the one that holds address or ends there, with or without
// content; nil without.
func (s *space) segmentNear(address uint64) *segment {
	for i := range s.segments {
		if g := &s.segments[i]; address >= g.address && address <= g.address+g.size {
			return g
		}
	}
	return nil
}

// at is up to n bytes of content from address on; none if nothing is there.
func (s *space) at(address uint64, n int) []byte {
	g := s.segmentAt(address)
	if g == nil {
		return nil
	}
	from := g.data[address-g.address:]
	return from[:min(n, len(from))]
}

// stringAt is the text from address to its end; ok is false if nothing is
// there.
func (s *space) stringAt(address uint64) (text []byte, ok bool) {
	g := s.segmentAt(address)
	if g == nil {
		return nil, false
	}
	text, _, ok = bytes.Cut(g.data[address-g.address:], []byte{0})
	return text, ok
}

// symbolsAt are the symbols at exactly that address, in the kernel's order.
func (s *space) symbolsAt(address uint64) (all []int) {
	i, _ := slices.BinarySearchFunc(s.byAddress, address, func(n int, a uint64) int { return cmp.Compare(s.symbols[n].Address, a) })
	for ; i < len(s.byAddress) && s.symbols[s.byAddress[i]].Address == address; i++ {
		all = append(all, s.byAddress[i])
	}
	return all
}

// sympos is the number by which a live patch tells symbol i from others of its
// name: 0 if there are none, else 1 for the first.
func (s *space) sympos(i int) uint64 {
	same := s.byName[s.symbols[i].Name]
	if len(same) == 1 {
		return 0
	}
	return uint64(slices.Index(same, i)) + 1
}

// place is symbol i as a live patch names it.
func (s *space) place(i int) Place {
	p := Place{Name: s.symbols[i].Name, Address: s.symbols[i].Address, Sympos: s.sympos(i), Object: s.object}
	if e, ok := s.exports[p.Name]; ok && e.Address == p.Address {
		p.Exported, p.Namespace = true, e.Namespace
	}
	return p
}

// stem is a name without the number by which a compiler tells static
// variables of several functions apart: "__key" of "__key.12". Numbers behind
// a name that belongs to a part of a function stay.
func stem(name string) string {
	short, number, ok := cutLast(name, '.')
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return name
	}
	switch _, part, _ := cutLast(short, '.'); part {
	case "constprop", "isra", "part", "cold", "llvm":
		return name
	}
	return short
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
