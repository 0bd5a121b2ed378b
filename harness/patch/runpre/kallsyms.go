// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
)

// The names of a kernel are compressed in its read-only data, without any
// label that an image stripped of symbols would still have:
//
//	num_syms u32 | names | markers u32[(num+255)/256] | token_table | token_index u16[256]
//
// with every table aligned to eight bytes (four since 7.0), and in 6.1 another
// table before token_table. Addresses are 32-bit offsets. They and the base
// that they count from stand before num_syms (up to 6.3) or behind token_index
// (since 6.4); since 7.0 each counts from its own place. A name's first character is the letter that
// nm shows.
//
// Source: scripts/kallsyms.c write_src and kernel/kallsyms.c of 5.10, 6.6;
// the later forms as measured on Debian's images.

const (
	tokens = 256
	chunk  = 256 // symbols between two markers
	// mostSymbols is far above any kernel's number.
	mostSymbols = 1 << 24
)

// kallsyms reads the names and addresses out of rodata, which stands at
// address at; text is where the kernel begins, and known are addresses of
// global symbols, which prove the form. Symbols come in the kernel's order,
// which is that of addresses.
func kallsyms(rodata []byte, at, text uint64, known map[string]uint64) ([]Symbol, error) {
	t, err := findTokens(rodata)
	if err != nil {
		return nil, err
	}
	if err := t.findNames(); err != nil {
		return nil, err
	}
	addresses, err := t.findAddresses(at, text, known)
	if err != nil {
		return nil, err
	}
	for i := range t.symbols {
		t.symbols[i].Address = addresses[i]
	}
	return t.symbols, nil
}

// tables is what has been found of the tables.
type tables struct {
	data       []byte
	token      [tokens]string
	tokenTable int // offsets in data
	tokenEnd   int // behind token_index
	numSyms    int
	symbols    []Symbol
}

func roundUp(n, align int) int { return (n + align - 1) &^ (align - 1) }

// digits stand in the token table of any kernel, each for itself.
var digits = []byte("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00")

// findTokens finds the token table by the digits in it and proves it by the
// index, which holds where each token begins.
func findTokens(data []byte) (*tables, error) {
	for from := 0; ; {
		hit := bytes.Index(data[from:], digits)
		if hit < 0 {
			return nil, errors.New("no table of symbol names in its read-only data (CONFIG_KALLSYMS)")
		}
		hit += from
		from = hit + 1
		// The digits are tokens 48 and on: each before them ends with a zero.
		start := hit
		for range '0' {
			if start = bytes.LastIndexByte(data[:max(start-1, 0)], 0) + 1; start <= 0 {
				break
			}
		}
		// What stands before the table need not end with a zero.
		for begin := roundUp(start, 4); begin <= hit; begin += 4 {
			if t := tokensAt(data, begin); t != nil {
				return t, nil
			}
			if data[begin] == 0 && begin > start {
				break
			}
		}
	}
}

// tokensAt reads the token table at begin; nil if the index behind it does not
// fit.
func tokensAt(data []byte, begin int) *tables {
	t := &tables{data: data, tokenTable: begin}
	var index [tokens]uint16
	p := begin
	for i := range tokens {
		end := bytes.IndexByte(data[min(p, len(data)):], 0)
		if end < 0 || p-begin > 1<<16-1 {
			return nil
		}
		index[i] = uint16(p - begin)
		t.token[i] = string(data[p : p+end])
		p += end + 1
	}
	for _, align := range []int{8, 4} {
		if at := roundUp(p, align); t.isIndex(index, at) {
			t.tokenEnd = at + 2*tokens
			return t
		}
	}
	return nil
}

func (t *tables) isIndex(index [tokens]uint16, at int) bool {
	if at+2*tokens > len(t.data) {
		return false
	}
	for i, want := range index {
		if binary.LittleEndian.Uint16(t.data[at+2*i:]) != want {
			return false
		}
	}
	return true
}

// findNames finds the number of symbols and their names, which stand before
// the token table. The markers behind them prove it.
func (t *tables) findNames() error {
	for at := t.tokenTable - 8&^3; at >= 0; at -= 4 {
		n := int(t.u32(at))
		if n <= 2*chunk || n > mostSymbols || n > t.tokenTable-at {
			continue
		}
		for _, begin := range []int{at + 8, at + 4} {
			if begin == at+8 && t.u32(at+4) != 0 {
				continue
			}
			if t.symbols = t.namesAt(begin, n); t.symbols != nil {
				t.numSyms = at
				return nil
			}
		}
	}
	return errors.New("the table of its symbols' names is in no form that is known here")
}

func (t *tables) u32(at int) uint32 { return binary.LittleEndian.Uint32(t.data[at:]) }

// next gives where the name at p begins and ends, ok if it has a length and
// ends before the token table.
func (t *tables) next(p int) (from, to int, ok bool) {
	if p+2 > t.tokenTable {
		return 0, 0, false
	}
	length := int(t.data[p])
	p++
	if length&0x80 != 0 { // since 6.1; no name was so long before
		length = length&0x7f | int(t.data[p])<<7
		p++
	}
	return p, p + length, length > 0 && p+length <= t.tokenTable
}

// namesAt reads n names from begin on; nil if no markers agree with them.
func (t *tables) namesAt(begin, n int) []Symbol {
	// The first three markers are looked for before all names are read: most
	// begins are wrong.
	var marks []byte
	ends := begin
	for i, p := 0, begin; i <= 2*chunk; i++ {
		if i%chunk == 0 {
			marks = binary.LittleEndian.AppendUint32(marks, uint32(p-begin))
		}
		_, to, ok := t.next(p)
		if !ok {
			return nil
		}
		p, ends = to, to
	}
	if !bytes.Contains(t.data[ends:t.tokenTable], marks) {
		return nil
	}
	marks = marks[:0]
	all := make([]Symbol, 0, n)
	var name []byte
	p := begin
	for i := range n {
		if i%chunk == 0 {
			marks = binary.LittleEndian.AppendUint32(marks, uint32(p-begin))
		}
		from, to, ok := t.next(p)
		if !ok {
			return nil
		}
		name = name[:0]
		for _, c := range t.data[from:to] {
			name = append(name, t.token[c]...)
		}
		if len(name) < 2 {
			return nil
		}
		all = append(all, Symbol{Name: string(name[1:]), Kind: name[0]})
		p = to
	}
	for _, align := range []int{8, 4} {
		if end := roundUp(p, align); end <= t.tokenTable && bytes.HasPrefix(t.data[end:t.tokenTable], marks) {
			return all
		}
	}
	return nil
}

// findAddresses reads the offsets in each of the forms there have been and
// takes the one in which symbols stand where they are known to be.
func (t *tables) findAddresses(at, text uint64, known map[string]uint64) ([]uint64, error) {
	n := len(t.symbols)
	var found []uint64
	try := func(offsets int, base uint64) bool {
		if offsets < 0 || offsets+4*n > len(t.data) {
			return false
		}
		for _, form := range addressForms {
			all := make([]uint64, n)
			for i := range all {
				p := offsets + 4*i
				all[i] = form(t.u32(p), base, at+uint64(p))
			}
			if t.agrees(all, known) {
				found = all
				return true
			}
		}
		return false
	}
	for _, align := range []int{8, 4} {
		size, behind := roundUp(4*n, align), roundUp(t.tokenEnd, align)
		if before := t.numSyms - 8; before >= 0 && try(before-size, binary.LittleEndian.Uint64(t.data[before:])) {
			return found, nil
		}
		if behind+size+8 <= len(t.data) && try(behind, binary.LittleEndian.Uint64(t.data[behind+size:])) {
			return found, nil
		}
		if try(behind, text) { // without a base of their own
			return found, nil
		}
	}
	return nil, errors.New("the table of its symbols' addresses is in no form that is known here")
}

// addressForms are how an offset becomes an address.
var addressForms = []func(offset uint32, base, place uint64) uint64{
	// CONFIG_KALLSYMS_ABSOLUTE_PERCPU, up to 6.14: positive ones are absolute,
	// those of variables of each CPU.
	func(offset uint32, base, _ uint64) uint64 {
		if int32(offset) >= 0 {
			return uint64(offset)
		}
		return base - 1 - uint64(int64(int32(offset)))
	},
	func(offset uint32, base, _ uint64) uint64 { return base + uint64(offset) },
	// relative to the offset itself
	func(offset uint32, _, place uint64) uint64 { return place + uint64(int64(int32(offset))) },
}

// agrees says that addresses ascend and that all global symbols that are known
// are where they must be. One entry off would agree in neither.
func (t *tables) agrees(all []uint64, known map[string]uint64) bool {
	proofs := 0
	for i, s := range t.symbols {
		if i > 0 && all[i] < all[i-1] {
			return false
		}
		if want, ok := known[s.Name]; ok && s.Global() {
			if all[i] != want {
				return false
			}
			proofs++
		}
	}
	return proofs > 0
}

// Symbol is a symbol of the kernel's own table, or of a module's.
type Symbol struct {
	Name    string
	Kind    byte // as nm shows it: 't' a function of one file, 'T' a global one
	Address uint64
}

// Text says that it is code.
func (s Symbol) Text() bool {
	switch unicode.ToLower(rune(s.Kind)) {
	case 't', 'w', 'i':
		return true
	}
	return false
}

// Global says that all files of its object may refer to it.
func (s Symbol) Global() bool { return unicode.IsUpper(rune(s.Kind)) || s.Kind == 'u' }

// String is the symbol as a line of /proc/kallsyms.
func (s Symbol) String() string { return fmt.Sprintf("%016x %c %s", s.Address, s.Kind, s.Name) }
