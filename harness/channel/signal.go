// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"syscall"
)

// SignalTask is the request of "signal".
type SignalTask struct {
	PID     int              `json:"pid"`
	TID     int              `json:"tid"`
	Signals []syscall.Signal `json:"signals"`
}

// Signal sends signals to one thread of a process, one right behind the other.
// syscall.ESRCH: it is gone.
func (c *Client) Signal(ctx context.Context, pid, tid int, signals ...syscall.Signal) error {
	return c.Call(ctx, "signal", SignalTask{PID: pid, TID: tid, Signals: signals}, nil)
}
