// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"errors"
)

// AgentMarker begins each line that the agent prints on the console about a
// trouble of its own: a panic, a start that failed.
const AgentMarker = "switchyard-agent:"

// PowerOff asks the guest to sync, to let its console drain and to power off.
// It returns when the channel has closed, which QEMU does as it ends.
func (c *Client) PowerOff(ctx context.Context) error {
	err := c.Call(ctx, "power.off", None{}, nil)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
