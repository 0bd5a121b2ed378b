// SPDX-License-Identifier: Apache-2.0

package btf

import "encoding/binary"

// An entry of an ORC table (struct orc_entry) is two 16-bit offsets, from some
// register to the frame's address and from there to where rbp was saved, and a
// word that says which registers these are and what kind of frame it is.
//
// Source: arch/x86/include/asm/orc_types.h.
const (
	orcEntrySize = 6
	orcIPSize    = 4
)

// ORCWords are those words for the three kinds of frame that a compiler makes.
// The numbers in them have changed twice (the kind of frame between 6.1
// and 6.12, the registers with 7.1), so they are learned from the image's own tables, in
// which the offsets tell the kinds apart.
type ORCWords struct {
	Plain  uint16 // by rsp, rbp not touched
	Saved  uint16 // by rsp, rbp saved
	Framed uint16 // by rbp, rbp saved
}

// common is how often a word must have been seen to be believed: tables have a
// hundred thousand entries.
const common = 100

// learnORC reads the image's tables; nil if they are not as expected.
func learnORC(entries, ips []byte) *ORCWords {
	if len(entries)%orcEntrySize != 0 || len(entries)/orcEntrySize != len(ips)/orcIPSize {
		return nil
	}
	plain, saved, pushed := map[uint16]int{}, map[uint16]int{}, map[uint16]int{}
	for e := entries; len(e) >= orcEntrySize; e = e[orcEntrySize:] {
		frame, rbp := int16(binary.LittleEndian.Uint16(e)), int16(binary.LittleEndian.Uint16(e[2:]))
		word := binary.LittleEndian.Uint16(e[4:])
		switch {
		case frame == 8 && rbp == 0: // the first instruction of a function
			plain[word]++
		case frame == 24 && rbp == -16: // two registers pushed, rbp the first
			saved[word]++
		case frame == 16 && rbp == -16: // push rbp, and perhaps mov rsp, rbp
			pushed[word]++
		}
	}
	w := &ORCWords{}
	var ok [3]bool
	w.Plain, ok[0] = mostly(plain)
	w.Saved, ok[1] = mostly(saved)
	delete(pushed, w.Saved)
	w.Framed, ok[2] = mostly(pushed)
	if ok != [3]bool{true, true, true} || w.Plain == 0 || w.Plain == w.Saved {
		return nil
	}
	return w
}

// mostly is the word that makes up more than nine tenths.
func mostly(counts map[uint16]int) (uint16, bool) {
	var all int
	var best uint16
	for word, n := range counts {
		all += n
		if n > counts[best] || n == counts[best] && word < best {
			best = word
		}
	}
	return best, counts[best] >= common && counts[best]*10 > all*9
}

// encode gives the three words of an entry. All zero says that nothing is
// known of the frame, and so says a frame that ORC has no form for.
func (w ORCWords) encode(u unwind) (entry [3]uint16, ok bool) {
	word := w.Plain
	switch {
	case !u.known, u.register == dwarfRBP && !u.saved, u.offset != int(int16(u.offset)):
		return entry, false
	case u.register == dwarfRBP:
		word = w.Framed
	case u.saved:
		word = w.Saved
	}
	rbp := 0
	if u.saved {
		rbp = u.rbp
	}
	return [3]uint16{uint16(int16(u.offset)), uint16(int16(rbp)), word}, true
}
