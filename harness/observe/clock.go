// SPDX-License-Identifier: Apache-2.0

package observe

import "golang.org/x/sys/unix"

// Monotonic is CLOCK_MONOTONIC of the machine that this runs on, in ns since
// its boot: Host outside of a guest, Guest inside.
func Monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return t.Nano()
}
