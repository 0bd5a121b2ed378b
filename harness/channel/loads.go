// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// LoadID names a running load.
type LoadID struct {
	ID int `json:"id"`
}

// LoadReading is the counters of all loads at one moment.
type LoadReading struct {
	T     int64          `json:"t"` // guest CLOCK_MONOTONIC in ns
	Loads []observe.Load `json:"loads"`
}

// StartLoad starts a load and gives its id.
func (c *Client) StartLoad(ctx context.Context, spec load.Spec) (int, error) {
	var out LoadID
	err := c.Call(ctx, "load.start", spec, &out)
	return out.ID, err
}

// StopLoad stops a load and gives its last counters.
func (c *Client) StopLoad(ctx context.Context, id int) (observe.Load, error) {
	var out observe.Load
	err := c.Call(ctx, "load.stop", LoadID{ID: id}, &out)
	return out, err
}

// LoadStats reads the counters of all running loads.
func (c *Client) LoadStats(ctx context.Context) (LoadReading, error) {
	var out LoadReading
	err := c.Call(ctx, "load.stats", None{}, &out)
	return out, err
}
