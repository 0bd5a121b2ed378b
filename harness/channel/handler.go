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

	"github.com/hashicorp/yamux"
)

// Handler answers the calls of one method in the guest.
type Handler struct {
	// Do runs a call; ctx ends when the host goes away or no longer waits.
	// What it gives is the answer, encoded as JSON; nil for none.
	Do func(ctx context.Context, c *Call) (any, error)
	// Upload: chunks of a file follow the request, to be read with Chunks.
	Upload bool
}

// Call is one call at the guest's side.
type Call struct {
	raw    json.RawMessage
	stream *yamux.Stream
	in     *bufio.Reader
	mu     sync.Mutex // a message is not torn by another
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 4<<10) }

// Decode stores the request in in.
func (c *Call) Decode(in any) error {
	if len(c.raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.raw, in); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	return nil
}

// Emit sends an event to the host; it blocks while the host does not read.
func (c *Call) Emit(event any) error {
	raw, err := json.Marshal(event)
	if err != nil {
		return err
	}
	return c.send(response{Event: raw})
}

func (c *Call) send(r response) error {
	line, err := encodeLine(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.stream.Write(line)
	return err
}

// Chunks copies the host's file to w and gives its size. It reads to the
// file's end even when w fails, so that the host gets to read the error.
func (c *Call) Chunks(w io.Writer) (int64, error) {
	var size int64
	var bad error
	buf := make([]byte, chunkSize)
	for {
		piece, err := readChunk(c.in, buf)
		if err != nil {
			return size, err
		}
		if len(piece) == 0 {
			return size, bad
		}
		if bad == nil {
			_, bad = w.Write(piece)
		}
		size += int64(len(piece))
	}
}

// Download is a handler that sends the file that open gives, at most limit
// bytes and one more, so that the host notices.
func Download[In any](open func(ctx context.Context, in In) (r io.ReadCloser, limit int64, err error)) Handler {
	return Handler{Do: func(ctx context.Context, c *Call) (any, error) {
		bad := func() error {
			var in In
			if err := c.Decode(&in); err != nil {
				return err
			}
			r, limit, err := open(ctx, in)
			if err != nil {
				return err
			}
			defer r.Close()
			return c.sendChunks(ctx, io.LimitReader(r, limit+1))
		}()
		// The host reads chunks before it reads the answer, also of a failure.
		_, err := c.stream.Write(chunk(nil))
		return nil, errors.Join(bad, err)
	}}
}

func (c *Call) sendChunks(ctx context.Context, r io.Reader) error {
	buf := make([]byte, chunkSize)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := c.stream.Write(chunk(buf[:n])); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Answer is a handler for a call with one request and one answer.
func Answer[In, Out any](do func(ctx context.Context, in In) (Out, error)) Handler {
	return Handler{Do: func(ctx context.Context, c *Call) (any, error) {
		var in In
		if err := c.Decode(&in); err != nil {
			return nil, err
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}}
}

// Events is a handler for a stream of events that ends when do returns.
func Events[In any](do func(ctx context.Context, in In, emit func(any) error) error) Handler {
	return Handler{Do: func(ctx context.Context, c *Call) (any, error) {
		var in In
		if err := c.Decode(&in); err != nil {
			return nil, err
		}
		return nil, do(ctx, in, c.Emit)
	}}
}

// None is the answer or request of a call that has none.
type None struct{}
