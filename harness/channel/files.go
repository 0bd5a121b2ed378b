// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bytes"
	"context"
)

// MaxReadFile is the most that ReadFile gives, in bytes.
const MaxReadFile = 8 << 20

// WriteFileRequest is the request of "file.write".
type WriteFileRequest struct {
	Path   string `json:"path"`
	Data   []byte `json:"data"`
	Append bool   `json:"append,omitempty"`
}

// PathRequest is the request of the calls that need only a path.
type PathRequest struct {
	Path string `json:"path"`
}

// DirEntry is a file of a folder.
type DirEntry struct {
	Name string `json:"name"`
	Dir  bool   `json:"dir,omitempty"`
}

// ReadFile reads a file of the guest, of /proc and /sys as well.
func (c *Client) ReadFile(ctx context.Context, path string) ([]byte, error) {
	var b bytes.Buffer
	err := c.Get(ctx, path, &b, MaxReadFile)
	return b.Bytes(), err
}

// WriteFile writes data with one write(2), as files of /proc, /sys and
// debugfs want it; a file that is not there is made, one that is there cut
// off first. The error wraps the errno of what failed.
func (c *Client) WriteFile(ctx context.Context, path string, data []byte) error {
	return c.Call(ctx, "file.write", WriteFileRequest{Path: path, Data: data}, nil)
}

// AppendFile is WriteFile behind what is there ("set_ftrace_filter").
func (c *Client) AppendFile(ctx context.Context, path string, data []byte) error {
	return c.Call(ctx, "file.write", WriteFileRequest{Path: path, Data: data, Append: true}, nil)
}

// ReadDir lists a folder of the guest in the order of names.
func (c *Client) ReadDir(ctx context.Context, path string) ([]DirEntry, error) {
	var out []DirEntry
	err := c.Call(ctx, "file.list", PathRequest{Path: path}, &out)
	return out, err
}

// Mkdir makes a folder and those above it.
func (c *Client) Mkdir(ctx context.Context, path string) error {
	return c.Call(ctx, "file.mkdir", PathRequest{Path: path}, nil)
}

// Remove removes a file or an empty folder; one that is not there is no error.
func (c *Client) Remove(ctx context.Context, path string) error {
	return c.Call(ctx, "file.remove", PathRequest{Path: path}, nil)
}
