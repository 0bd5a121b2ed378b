// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// layout is how a page of the kernel's trace buffer looks, from
// events/header_page. Little-endian, 64 bits: x86-64.
type layout struct {
	size                    int // of a page, all of it
	timestamp, commit, data field
}

// Bounds of a page: 4 KiB everywhere, but buffer_subbuf_size_kb (6.8+) can
// make it larger.
const (
	minPage = 64
	maxPage = 1 << 20
)

func parseLayout(text string) (layout, error) {
	fields, _ := parseFields(text)
	l := layout{timestamp: fields["timestamp"], commit: fields["commit"], data: fields["data"]}
	l.size = l.data.offset + l.data.size
	switch {
	case l.timestamp.size != 8 || l.commit.size < 4 || l.commit.size > 8 || l.data.size < 1:
		return l, fmt.Errorf("a trace page of an unknown layout: %.80q", text)
	case l.size < minPage || l.size > maxPage || l.timestamp.offset+8 > l.data.offset || l.commit.offset+l.commit.size > l.data.offset:
		return l, fmt.Errorf("a trace page of %d bytes, %d of them data: not one that is known", l.size, l.data.size)
	}
	return l, nil
}

// The flags in a page's commit field, beside the length (kernel/trace/
// ring_buffer.c: RB_MISSED_EVENTS, RB_MISSED_STORED).
const (
	missedEvents = 1 << 31
	missedStored = 1 << 30
	commitLength = 1<<20 - 1
)

// The types of entries (include/linux/ring_buffer.h: enum ring_buffer_type);
// up to 28 it is the length in words.
const (
	typePadding    = 29
	typeTimeExtend = 30
	typeTimeStamp  = 31
)

// errPage is for pages that no kernel writes.
var errPage = errors.New("a trace page that is not whole")

// read gives each record of a page with its stamp, in order. lost is how many
// records before the page's first are missing, 0 for none; where the kernel
// does not say how many, missed is set alone. A record lies in page. What is
// wrong in a page ends it with errPage; the records before are given.
func (l *layout) read(page []byte, each func(t uint64, record []byte)) (lost uint64, missed bool, err error) {
	if len(page) < l.data.offset {
		return 0, false, errPage
	}
	t := little(page[l.timestamp.offset:][:8])
	commit := little(page[l.commit.offset:][:l.commit.size])
	data := page[l.data.offset:]
	n := int(commit & commitLength)
	if n > len(data) {
		return 0, false, errPage
	}
	if missed = commit&missedEvents != 0; missed && commit&missedStored != 0 && n+8 <= len(data) {
		lost = binary.LittleEndian.Uint64(data[n:])
		if int64(lost) < 0 { // -1: the kernel does not know
			lost = 0
		}
	}
	data = data[:n]
	for len(data) > 0 {
		if len(data) < 4 {
			return lost, missed, errPage
		}
		head := binary.LittleEndian.Uint32(data)
		kind, delta := head&31, uint64(head>>5)
		data = data[4:]
		length := int(kind) * 4
		switch {
		case kind == typePadding && delta == 0: // nothing follows
			return lost, missed, nil
		case kind == 0 || kind >= typePadding:
			if len(data) < 4 {
				return lost, missed, errPage
			}
			word := binary.LittleEndian.Uint32(data)
			switch kind {
			case typeTimeExtend:
				t += uint64(word)<<27 + delta
				data = data[4:]
				continue
			case typeTimeStamp: // whole, but for the highest bits
				t = t&^(1<<59-1) | uint64(word)<<27 + delta
				data = data[4:]
				continue
			case typePadding: // a record that was discarded
				t += delta
				if uint64(word) < 4 || uint64(word) > uint64(len(data)) {
					return lost, missed, errPage
				}
				data = data[word:]
				continue
			}
			if word < 4 || uint64(word) > uint64(len(data)) {
				return lost, missed, errPage
			}
			data, length = data[4:], int(word)-4
		}
		if length > len(data) {
			return lost, missed, errPage
		}
		t += delta
		each(t, data[:length])
		data = data[length:]
		if pad := -length & 3; kind == 0 && pad <= len(data) {
			data = data[pad:] // entries begin at words
		}
	}
	return lost, missed, nil
}
