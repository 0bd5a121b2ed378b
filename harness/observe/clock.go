// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic is CLOCK_MONOTONIC of the machine that this runs on, in ns since
// its boot: Host outside of a guest, Guest inside.
func Monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return t.Nano()
}

// KernelPatience is how long, by the guest's clock, its kernel may take to load
// or unload a module, to begin a transition, to give what a probe reads. What a
// patch does may keep it from ever coming back, and a guest that tells of its
// tasks and loads all the while is not silent. Far above the longest that came
// back, 100 s (6.12, emulated), and above the 120 s after which the kernel itself
// tells of a task that hangs.
const KernelPatience = 10 * time.Minute
