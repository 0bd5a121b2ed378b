// SPDX-License-Identifier: Apache-2.0

package lateness

// ForTest shows what another witness must do the same way.
type ForTest struct{ *Slab }

// Record counts in a window of CPU 0.
func (s ForTest) Record(window int, deadline, late int64) {
	record(s.block(window, 0), deadline, deadline+late, int64(Period))
}

// NewStride gives the stride after so many missed deadlines, each time.
func NewStride() func(missed int64) int64 { s := stride{periods: 1}; return s.after }

// None is the number of no window.
const None = none
