// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// exchange is one call of the host on its own stream. Nothing in yamux takes
// a context, so each step runs in a goroutine that the caller may leave
// behind; the slot is free again when the last of them is gone.
type exchange struct {
	client *Client
	method string
	stream *yamux.Stream
	in     *bufio.Reader
	busy   sync.WaitGroup
}

// open starts a call: a slot, a stream, the request's line.
func (c *Client) open(ctx context.Context, method string, in any) (*exchange, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	line, err := encodeLine(request{Method: method, In: raw})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
	x := &exchange{client: c, method: method}
	err = x.step(ctx, func() (err error) {
		if x.stream, err = c.session.OpenStream(); err != nil {
			return err
		}
		x.in = bufio.NewReaderSize(x.stream, 4<<10)
		_, err = x.stream.Write(line)
		return err
	})
	if err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

// step runs op until ctx ends. After an error the exchange is only good to be
// closed.
func (x *exchange) step(ctx context.Context, op func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", x.method, context.Cause(ctx))
	}
	done := make(chan error, 1)
	x.busy.Add(1)
	go func() {
		defer x.busy.Done()
		done <- op()
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", x.method, x.client.broken(err))
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", x.method, context.Cause(ctx))
	}
}

// close lets go of the stream, which tells a guest that still works on the
// call to stop. It does not block.
func (x *exchange) close() {
	go func() {
		done := make(chan struct{})
		go func() { x.busy.Wait(); close(done) }()
		// The stream is set by the first step, which may still be stuck.
		for {
			select {
			case <-done:
				if x.stream != nil {
					x.stream.Close()
				}
				<-x.client.slots
				return
			case <-x.unstick():
			}
		}
	}()
}
