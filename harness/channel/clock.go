// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// ClockReading is the answer of "clock".
type ClockReading struct {
	MonotonicNS int64 `json:"monotonic_ns"`
}

// Now is CLOCK_MONOTONIC of the guest in ns.
func (c *Client) Now(ctx context.Context) (int64, error) {
	var out ClockReading
	err := c.Call(ctx, "clock", None{}, &out)
	return out.MonotonicNS, err
}

// Offset reads both clocks and gives an event of kind observe.KindOffset: the
// guest's stamp lies between the two of the host, whose middle is Host. The
// best of a few tries is taken, for the first finds the guest asleep.
func (c *Client) Offset(ctx context.Context) (observe.Event, error) {
	var best observe.Event
	for range 3 {
		before := monotonic()
		guest, err := c.Now(ctx)
		if err != nil {
			return best, err
		}
		slack := monotonic() - before
		if best.Offset == nil || slack < best.Offset.Slack {
			best = observe.Event{Clock: observe.Guest, T: guest, Kind: observe.KindOffset,
				Offset: &observe.Offset{Host: before + slack/2, Slack: slack}}
		}
	}
	return best, nil
}

// monotonic is CLOCK_MONOTONIC of this machine in ns.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail for this clock
	return t.Nano()
}
