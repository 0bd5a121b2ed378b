// SPDX-License-Identifier: Apache-2.0

package channel

import "context"

// LivepatchFolder is where the kernel shows its livepatches.
const LivepatchFolder = "/sys/kernel/livepatch"

// Livepatch is one folder of LivepatchFolder.
type Livepatch struct {
	Name       string `json:"name"`
	Enabled    bool   `json:"enabled"`
	Transition bool   `json:"transition"`
	Replace    *bool  `json:"replace,omitempty"`     // from 6.11 on
	StackOrder *int   `json:"stack_order,omitempty"` // from 6.14 on
	// Objects are what it patches: "vmlinux", or a module's name.
	Objects []LivepatchObject `json:"objects"`
}

// LivepatchObject is one object of a livepatch.
type LivepatchObject struct {
	Name    string `json:"name"`
	Patched *bool  `json:"patched,omitempty"` // from 6.1 on
	// Functions as the kernel names them: "cmdline_proc_show,1".
	Functions []string `json:"functions"`
}

// SetLivepatch is the request of "livepatch.set".
type SetLivepatch struct {
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
}

// Livepatches gives the state of all livepatches, in the order of names.
func (c *Client) Livepatches(ctx context.Context) ([]Livepatch, error) {
	var out []Livepatch
	err := c.Call(ctx, "livepatch.list", None{}, &out)
	return out, err
}

// SetEnabled writes `enabled`. While the patch is in transition the opposite
// value reverses it.
func (c *Client) SetEnabled(ctx context.Context, name string, enabled bool) error {
	return c.Call(ctx, "livepatch.set", SetLivepatch{Name: name, Enabled: enabled}, nil)
}

// Force writes 1 to `force`: the transition ends at once, safe or not.
func (c *Client) Force(ctx context.Context, name string) error {
	return c.WriteFile(ctx, LivepatchFolder+"/"+name+"/force", []byte("1\n"))
}
