// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// restPeriod is between two looks of an idle watcher whom the kernel wakes
	// as soon as a transition starts, and who has seen none for alertness.
	restPeriod = 50 * time.Millisecond
	alertness  = 100 * time.Millisecond
)

// rest waits from one look to the next, and gives the time that was meant.
func (w *watcher) rest(last int64) (next int64) {
	period := int64(w.Period)
	if w.active == nil || last-w.began > int64(steep) {
		period = int64(w.IdlePeriod)
	}
	woken := w.active == nil && last > w.alert && w.rounds != nil && w.rounds.has(traceStart)
	if woken {
		period = int64(restPeriod)
	}
	next = last + period
	if t := now(); t > next {
		next += (t - next) / period * period
	}
	if woken {
		if w.rounds.wait(next) {
			next = now()
			w.alert = next + int64(alertness)
		}
		return next
	}
	sleepUntil(next)
	return next
}

// sleepUntil waits until then, CLOCK_MONOTONIC in ns.
func sleepUntil(t int64) {
	at := unix.NsecToTimespec(t)
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
	}
}
