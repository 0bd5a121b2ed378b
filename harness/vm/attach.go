// SPDX-License-Identifier: Apache-2.0

package vm

import "io"

// Attach copies what the guest writes to its console from now on to out, as
// it is: for a person at a terminal. detach ends it. A write that blocks
// stalls the guest; one that fails is not repeated.
func (c *Console) Attach(out io.Writer) (detach func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = out
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw = nil
	}
}
