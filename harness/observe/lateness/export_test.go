// SPDX-License-Identifier: Apache-2.0

package lateness

// ForTest shows what another witness must do the same way.
type ForTest struct{ *Slab }

// Record counts in a window of CPU 0.
func (s ForTest) Record(window int, deadline, late int64) {
	record(s.block(window, 0), deadline, deadline+late, int64(Period))
}

// None is the number of no window.
const None = none
