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
	in     *bufio.Reader // of stream; used by steps only
	busy   sync.WaitGroup

	mu     sync.Mutex
	stream *yamux.Stream // nil until attached
	closed bool
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
	err = x.step(ctx, func() error {
		stream, err := c.session.OpenStream()
		if err != nil {
			return err
		}
		x.attach(stream)
		x.in = bufio.NewReaderSize(stream, 4<<10)
		_, err = stream.Write(line)
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

// attach keeps the stream, unless the caller has gone meanwhile.
func (x *exchange) attach(stream *yamux.Stream) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stream = stream
	if x.closed {
		_ = stream.SetDeadline(time.Unix(1, 0))
	}
}

// close lets go of the stream, which tells a guest that still works on the
// call to stop. It does not block.
func (x *exchange) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if x.stream != nil {
		_ = x.stream.SetDeadline(time.Unix(1, 0)) // ends a step that waits
	}
	go func() {
		x.busy.Wait()
		if x.stream != nil {
			x.stream.Close()
		}
		<-x.client.slots
	}()
}

// next is the next line from the guest.
func (x *exchange) next(ctx context.Context) (*response, error) {
	var r response
	err := x.step(ctx, func() error {
		line, err := readLine(x.in, MaxLine)
		if err != nil {
			return unexpected(err)
		}
		return json.Unmarshal(line, &r)
	})
	if err != nil {
		return nil, err
	}
	if r.Error != nil {
		r.Error.Method = x.method
		return nil, r.Error
	}
	return &r, nil
}

// finish reads the last line into out, which may be nil.
func (x *exchange) finish(ctx context.Context, out any) error {
	r, err := x.next(ctx)
	if err != nil {
		return err
	}
	if !r.Done {
		return fmt.Errorf("%s: the guest sent an event instead of an answer", x.method)
	}
	return x.decode(r.Out, out)
}

func (x *exchange) decode(raw json.RawMessage, out any) error {
	if out == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s: the guest's answer: %w", x.method, err)
	}
	return nil
}

// Call calls method in the guest with in (as JSON) and stores its answer in
// out; either may be nil. An error of the guest's side is a *RemoteError.
// When ctx ends first the guest is told to stop and not waited for.
func (c *Client) Call(ctx context.Context, method string, in, out any) error {
	x, err := c.open(ctx, method, in)
	if err != nil {
		return err
	}
	defer x.close()
	return x.finish(ctx, out)
}

// Stream calls method in the guest and hands each event to each, in order and
// one at a time, until the guest ends the stream (nil), ctx ends (its error),
// or each gives an error (that one). An each that is slow stops the guest's
// sender after the stream's window; it never piles up here.
func (c *Client) Stream(ctx context.Context, method string, in any, each func(json.RawMessage) error) error {
	x, err := c.open(ctx, method, in)
	if err != nil {
		return err
	}
	defer x.close()
	for {
		r, err := x.next(ctx)
		if err != nil {
			return err
		}
		if r.Done {
			return nil
		}
		if err := each(r.Event); err != nil {
			return err
		}
	}
}

// Put writes what r holds, size bytes of it, to the file path of the guest
// with the permission bits mode. The file appears whole or not at all.
func (c *Client) Put(ctx context.Context, path string, mode uint32, r io.Reader, size int64) error {
	x, err := c.open(ctx, "put", PutFile{Path: path, Mode: mode, Size: size})
	if err != nil {
		return err
	}
	defer x.close()
	buf := make([]byte, chunkSize)
	for left := size; left > 0; {
		n, err := io.ReadFull(r, buf[:min(left, chunkSize)])
		if err != nil {
			return fmt.Errorf("put %s: %d of %d bytes at hand: %w", path, size-left+int64(n), size, unexpected(err))
		}
		piece := chunk(buf[:n]) // a copy: the step may outlive us
		if err := x.step(ctx, func() error { _, err := x.stream.Write(piece); return err }); err != nil {
			return err
		}
		left -= int64(n)
	}
	if err := x.step(ctx, func() error { _, err := x.stream.Write(chunk(nil)); return err }); err != nil {
		return err
	}
	return x.finish(ctx, nil)
}

// ErrTooBig is what Get gives for a file over its limit.
var ErrTooBig = errors.New("file over the limit")

// Get copies the file path of the guest to w, at most limit bytes; files of
// /proc and /sys, which have no size, are read to their end.
func (c *Client) Get(ctx context.Context, path string, w io.Writer, limit int64) error {
	x, err := c.open(ctx, "get", GetFile{Path: path, Limit: limit})
	if err != nil {
		return err
	}
	defer x.close()
	for left := limit; ; {
		var piece []byte
		err := x.step(ctx, func() (err error) {
			piece, err = readChunk(x.in, make([]byte, chunkSize))
			return err
		})
		if err != nil {
			return err
		}
		if len(piece) == 0 {
			return x.finish(ctx, nil)
		}
		if left -= int64(len(piece)); left < 0 {
			return fmt.Errorf("get %s: %w of %d bytes", path, ErrTooBig, limit)
		}
		if _, err := w.Write(piece); err != nil {
			return fmt.Errorf("get %s: %w", path, err)
		}
	}
}

// PutFile is the request of "put"; chunks follow.
type PutFile struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	Size int64  `json:"size"`
}

// GetFile is the request of "get"; the answer is chunks, then the last line.
type GetFile struct {
	Path  string `json:"path"`
	Limit int64  `json:"limit"`
}
