// SPDX-License-Identifier: Apache-2.0

package lateness

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bucket is how often a lateness was seen that is NS or more and less than the
// next bucket's.
type Bucket struct {
	NS int64 // a Floor
	N  int64 // more than 0
}

// Histogram is the buckets that hold something, the shortest lateness first.
// In JSON it is one text, "NS:N NS:N …", which takes a tenth of what a list
// would.
type Histogram []Bucket

// mostCounted bounds the sum of all counts: a JSON reader keeps 53 bits.
const mostCounted = 1 << 53

// Count is how many values are in it.
func (h Histogram) Count() (n int64) {
	for _, b := range h {
		n += b.N
	}
	return n
}

// Of is the histogram of counts by bucket, as a probe keeps them.
func Of(counts []uint64) (h Histogram) {
	for i, n := range counts {
		if n > 0 {
			h = append(h, Bucket{Floor(i), int64(n)})
		}
	}
	return h
}

// Add is h with n more of a lateness in ns; n less than 0 takes them out, as
// far as they are there.
func (h Histogram) Add(ns, n int64) Histogram {
	floor := Floor(Index(ns))
	at, found := slices.BinarySearchFunc(h, floor, func(b Bucket, ns int64) int { return cmp.Compare(b.NS, ns) })
	switch {
	case !found && n > 0:
		return slices.Insert(slices.Clone(h), at, Bucket{floor, n})
	case !found || n == 0:
		return h
	case h[at].N+n <= 0:
		return slices.Delete(slices.Clone(h), at, at+1)
	}
	h = slices.Clone(h)
	h[at].N += n
	return h
}

// Merge is all histograms in one.
func Merge(all ...Histogram) (merged Histogram) {
	var counts [Buckets]int64
	for _, h := range all {
		for _, b := range h {
			counts[Index(b.NS)] += b.N
		}
	}
	for i, n := range counts {
		if n > 0 {
			merged = append(merged, Bucket{Floor(i), n})
		}
	}
	return merged
}

// MarshalText writes "NS:N NS:N …".
func (h Histogram) MarshalText() ([]byte, error) {
	var text []byte
	for i, b := range h {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, b.NS, 10)
		text = append(text, ':')
		text = strconv.AppendInt(text, b.N, 10)
	}
	return text, nil
}

// UnmarshalText reads it, from anybody: only what MarshalText can have written
// is taken.
func (h *Histogram) UnmarshalText(text []byte) error {
	const longest = len("68719476735:9007199254740992 ")
	if len(text) > Buckets*longest {
		return errors.New("a histogram with more text than all its buckets take")
	}
	read, last, sum := Histogram(nil), int64(-1), int64(0)
	for word := range strings.FieldsSeq(string(text)) {
		floor, count, _ := strings.Cut(word, ":")
		ns, err := strconv.ParseInt(floor, 10, 64)
		if err == nil && (ns <= last || ns != Floor(Index(ns))) {
			err = errors.New("no bucket begins there, or not in that order")
		}
		if err != nil {
			return fmt.Errorf("a histogram with %.40q: %w", word, err)
		}
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 || n > mostCounted-sum {
			return fmt.Errorf("a histogram with %.40q: no number of times", word)
		}
		read, last, sum = append(read, Bucket{ns, n}), ns, sum+n
	}
	*h = read
	return nil
}
