// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"time"
)

// StartLateness is the request of "lateness.start".
type StartLateness struct {
	// Timer: the module of the second witness is loaded, and is read as well.
	Timer bool `json:"timer"`
}

// LatenessWindow is the request of "lateness.window".
type LatenessWindow struct {
	Name string `json:"name"` // of lateness.Windows
}

// StartLateness starts the probe, in window lateness.Baseline. What it and the
// timer count comes as events of kind observe.KindLateness with the watch, at
// the end of each window.
func (c *Client) StartLateness(ctx context.Context, timer bool) error {
	return c.Call(ctx, "lateness.start", StartLateness{timer}, nil)
}

// LatenessWindow has deadlines from now on count to another window.
func (c *Client) LatenessWindow(ctx context.Context, name string) error {
	return c.Call(ctx, "lateness.window", LatenessWindow{name}, nil)
}

// PauseRequest is the request of "pause".
type PauseRequest struct {
	NS int64 `json:"ns"`
}

// Pause answers when so much of the guest's time has gone by.
func (c *Client) Pause(ctx context.Context, d time.Duration) error {
	return c.Call(ctx, "pause", PauseRequest{int64(d)}, nil)
}

// StopLateness ends the probe, and tells what came after a window's end.
func (c *Client) StopLateness(ctx context.Context) error {
	return c.Call(ctx, "lateness.stop", None{}, nil)
}
