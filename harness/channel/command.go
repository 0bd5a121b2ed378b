// SPDX-License-Identifier: Apache-2.0

package channel

import "context"

// MaxOutput is how much of a command's stdout, and of its stderr, comes back;
// what is beyond is cut off.
const MaxOutput = 256 << 10

// RunCommand is the request of "run".
type RunCommand struct {
	Argv []string `json:"argv"`
	Dir  string   `json:"dir,omitempty"`
	Env  []string `json:"env,omitempty"` // added to the agent's
}

// CommandResult is how a command ended.
type CommandResult struct {
	Status int    `json:"status"`           // exit status; 128+n when signal n ended it
	Signal int    `json:"signal,omitempty"` // the signal
	Stdout []byte `json:"stdout,omitempty"`
	Stderr []byte `json:"stderr,omitempty"`
	Cut    bool   `json:"cut,omitempty"` // output went over MaxOutput
}

// Run runs a command in the guest and waits for it; when ctx ends first, the
// guest kills its process group. A status other than 0 is no error.
func (c *Client) Run(ctx context.Context, argv ...string) (CommandResult, error) {
	return c.RunCommand(ctx, RunCommand{Argv: argv})
}

// RunCommand is Run with all there is to say.
func (c *Client) RunCommand(ctx context.Context, cmd RunCommand) (CommandResult, error) {
	var out CommandResult
	err := c.Call(ctx, "run", cmd, &out)
	return out, err
}
