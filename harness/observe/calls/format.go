// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"fmt"
	"strconv"
	"strings"
)

// field is where something lies in a binary record.
type field struct{ offset, size int }

// parseFields reads the lines of a tracefs format file:
//
//	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
//	field: local_t commit;	offset:8;	size:8;	signed:1;
//
// and the ID that the format of an event has. Lines of another form are not
// fields.
func parseFields(text string) (fields map[string]field, id int) {
	fields, id = map[string]field{}, -1
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "ID:"); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil {
				id = n
			}
			continue
		}
		rest, ok := strings.CutPrefix(line, "field:")
		if !ok {
			continue
		}
		declared, rest, ok := strings.Cut(rest, ";")
		words := strings.Fields(declared)
		if !ok || len(words) == 0 {
			continue
		}
		f := field{-1, -1}
		for part := range strings.SplitSeq(rest, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(part), ":")
			n, err := strconv.Atoi(value)
			if err != nil {
				continue
			}
			switch key {
			case "offset":
				f.offset = n
			case "size":
				f.size = n
			}
		}
		name, _, _ := strings.Cut(words[len(words)-1], "[") // an array's
		if f.offset >= 0 && f.size >= 0 {
			fields[name] = f
		}
	}
	return fields, id
}

// format is how the records of one event look, as far as we read them.
type format struct {
	id     int
	fields map[string]field
}

// parseFormat reads an event's format file that must have the fields named,
// each at most 8 bytes.
func parseFormat(text string, needed ...string) (format, error) {
	f := format{}
	f.fields, f.id = parseFields(text)
	if f.id < 0 {
		return f, fmt.Errorf("a trace event's format without an ID: %.60q", text)
	}
	for _, name := range needed {
		if at, ok := f.fields[name]; !ok || at.size < 1 || at.size > 8 {
			return f, fmt.Errorf("the format of trace event %d has no %s", f.id, name)
		}
	}
	return f, nil
}

// uint reads the named field of a record; 0 where the record is too short.
func (f *format) uint(record []byte, name string) uint64 {
	at, ok := f.fields[name]
	if !ok || at.offset+at.size > len(record) || at.size > 8 {
		return 0
	}
	return little(record[at.offset : at.offset+at.size])
}

// little is a little-endian number of at most 8 bytes.
func little(b []byte) (n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}
