// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// signalTask answers "signal". A thread, and not a process: the kernel wakes
// one thread of a process that is signalled, whichever it likes.
func signalTask(_ context.Context, in channel.SignalTask) (none, error) {
	for _, s := range in.Signals {
		if err := unix.Tgkill(in.PID, in.TID, s); err != nil {
			return none{}, fmt.Errorf("signal %d to task %d: %w", int(s), in.TID, err)
		}
	}
	return none{}, nil
}
