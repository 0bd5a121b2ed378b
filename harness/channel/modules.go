// SPDX-License-Identifier: Apache-2.0

package channel

import "context"

// LoadModule is the request of "module.load".
type LoadModule struct {
	Path   string `json:"path"`
	Params string `json:"params,omitempty"` // "a=1 b=2"
}

// UnloadModule is the request of "module.unload".
type UnloadModule struct {
	Name string `json:"name"`
}

// Module is a loaded module as /proc/modules shows it.
type Module struct {
	Name     string   `json:"name"`
	Size     int64    `json:"size"`     // bytes
	RefCount int      `json:"refcount"` // -1: cannot be unloaded
	UsedBy   []string `json:"used_by,omitempty"`
	State    string   `json:"state"`           // Live, Loading, Unloading
	Taint    string   `json:"taint,omitempty"` // "OEK"
}

// Load inserts the module in the file path of the guest; params is what
// insmod takes behind the file. The error wraps the kernel's errno.
func (c *Client) Load(ctx context.Context, path, params string) error {
	return c.Call(ctx, "module.load", LoadModule{Path: path, Params: params}, nil)
}

// Unload removes the module name; it does not wait for its users
// (syscall.EWOULDBLOCK, and EBUSY while it is being initialised).
func (c *Client) Unload(ctx context.Context, name string) error {
	return c.Call(ctx, "module.unload", UnloadModule{Name: name}, nil)
}

// Modules lists the loaded modules.
func (c *Client) Modules(ctx context.Context) ([]Module, error) {
	var out []Module
	err := c.Call(ctx, "module.list", None{}, &out)
	return out, err
}
