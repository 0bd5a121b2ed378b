// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// CallsRequest is the request of "calls.begin".
type CallsRequest struct {
	Patches []observe.TracedPatch `json:"patches"`
	// BufferKB is the size of each CPU's trace buffer; 0 for the agent's own.
	BufferKB int `json:"buffer_kb,omitempty"`
}

// PrepareCalls does what takes long about TraceCalls, for the forks of a guest.
func (c *Client) PrepareCalls(ctx context.Context) error {
	return c.Call(ctx, "calls.prepare", None{}, nil)
}

// TraceCalls has the guest see the calls of patched functions, and tell of them
// by events of kind observe.KindTracing, KindCalls, KindCall and KindLost. It
// comes before the patches' modules are loaded, and may come again for more. A
// kernel that cannot be traced says so in observe.Tracing.
func (c *Client) TraceCalls(ctx context.Context, r CallsRequest) error {
	return c.Call(ctx, "calls.begin", r, nil)
}

// FlushCalls has all calls that were made until now told.
func (c *Client) FlushCalls(ctx context.Context) error {
	return c.Call(ctx, "calls.flush", None{}, nil)
}

// EndCalls does the same, and ends the tracing.
func (c *Client) EndCalls(ctx context.Context) error {
	return c.Call(ctx, "calls.end", None{}, nil)
}
