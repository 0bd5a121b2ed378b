// SPDX-License-Identifier: Apache-2.0

package lateness

// A machine that is given too little of its host has no time for a deadline each
// millisecond, and a witness that asks for it anyway is what keeps it busy: on a
// host with forty processes for each CPU the loads came to a standstill. So a
// witness that is late again and again asks for fewer.
const (
	overload   = 256 // missed deadlines, less those that were met, until it asks for half
	mostStride = 32
)

// stride is how many periods from one deadline to the next that is asked for. A
// single interruption, of up to a quarter of a second, changes nothing.
type stride struct{ debt, periods int64 }

// after gives the stride after a deadline behind which so many were missed.
//
//go:nosplit
func (s *stride) after(missed int64) int64 {
	if s.debt += missed; missed == 0 {
		s.debt--
	}
	switch {
	case s.debt >= overload:
		s.debt = overload / 2
		if s.periods < mostStride {
			s.periods *= 2
		}
	case s.debt > 0:
	case s.periods > 1:
		s.debt = overload / 2
		s.periods /= 2
	default:
		s.debt = 0
	}
	return s.periods
}
