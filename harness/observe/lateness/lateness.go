// SPDX-License-Identifier: Apache-2.0

// Package lateness is how late wake-ups and interrupts came: the buckets they
// are counted in, the memory that a probe counts in while it runs, and the
// probe itself, a process of the guest.
//
// The buckets are those of an HDR histogram of two significant digits, so that
// package report reads them by the kept library; here, where each microsecond
// of the guest's counts, is the little of it that counting needs. What must
// not live here: what the numbers mean (harness/report), when windows begin
// and end (cmd/guestd, harness/run).
package lateness

import "math/bits"

// The form of the histogram, as hdrhistogram.New takes it: values from Lowest
// to Highest ns, told apart to Digits significant digits.
const (
	Lowest  = 1
	Highest = 1<<36 - 1 // 68 s
	Digits  = 2
)

// Two digits need 128 steps in each octave (the next power of two above 100);
// the first octave has them twice, being exact to the ns.
const (
	stepBits = 7
	steps    = 1 << stepBits
	octaves  = 36 - (stepBits + 1) + 1
	// Buckets is how many there are.
	Buckets = (octaves + 1) * steps
)

// Index is the bucket of a lateness in ns; less than 0 counts as 0, more than
// Highest as Highest.
//
//go:nosplit
func Index(ns int64) int {
	if ns < 0 {
		ns = 0
	}
	if ns > Highest {
		ns = Highest
	}
	octave := bits.Len64(uint64(ns)|(2*steps-1)) - (stepBits + 1)
	return octave<<stepBits + int(ns>>octave)
}

// Floor is the least lateness in ns that falls into a bucket; 0 for no bucket.
func Floor(index int) int64 {
	if index < 0 || index >= Buckets {
		return 0
	}
	octave := max(index>>stepBits-1, 0)
	return int64(index-octave<<stepBits) << octave
}
