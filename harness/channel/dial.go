// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

// Client is the host's side of a session.
//
// Concurrency: all methods may be called from several goroutines; MaxCalls of
// them run at once.
type Client struct {
	hello   Hello
	conn    *parkable
	session *yamux.Session
	slots   chan struct{}
}

// Dial begins a session over conn and waits for the guest's hello as long as
// ctx lets it; a guest that is still booting finds the question waiting. The
// client owns conn from now on, also when Dial fails.
func Dial(ctx context.Context, conn net.Conn) (*Client, error) {
	return DialFork(ctx, conn, Greeting{})
}

// DialFork is Dial to a guest that is a fork, which takes the greeting's wall
// clock and entropy before it says hello. A zero Nonce is chosen here.
func DialFork(ctx context.Context, conn net.Conn, greeting Greeting) (*Client, error) {
	if greeting.Nonce == ([16]byte{}) {
		greeting.Nonce = nonce()
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	hello, in, err := greet(conn, greeting.preamble())
	if !stop() || ctx.Err() != nil {
		conn.Close()
		return nil, fmt.Errorf("wait for the guest's hello: %w", context.Cause(ctx))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("wait for the guest's hello: %w", err)
	}
	held := &parkable{Conn: conn}
	session, err := yamux.Client(&stitched{Reader: &guard{r: in}, Conn: held}, muxConfig())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open the channel: %w", err)
	}
	return &Client{hello: hello, conn: held, session: session, slots: make(chan struct{}, MaxCalls)}, nil
}

func nonce() (n [16]byte) {
	binary.LittleEndian.PutUint64(n[:], rand.Uint64())
	binary.LittleEndian.PutUint64(n[8:], rand.Uint64())
	return n
}

// stitched is a connection whose beginning was read through a buffer.
type stitched struct {
	io.Reader
	net.Conn
}

func (s *stitched) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func greet(conn net.Conn, preamble []byte) (Hello, *bufio.Reader, error) {
	var hello Hello
	if _, err := conn.Write(preamble); err != nil {
		return hello, nil, err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	if err := skipTo(in, preamble); err != nil {
		return hello, nil, err
	}
	line, err := readLine(in, maxHello)
	if err != nil {
		return hello, nil, unexpected(err)
	}
	if err := json.Unmarshal(line, &hello); err != nil {
		return hello, nil, err
	}
	if hello.Protocol != Protocol {
		return hello, nil, fmt.Errorf("the guest's agent speaks protocol %d, this program %d: rebuild the image", hello.Protocol, Protocol)
	}
	return hello, in, nil
}

// skipTo reads up to and with mark.
func skipTo(in *bufio.Reader, mark []byte) error {
	for skipped := 0; skipped < maxStale; {
		head, err := in.Peek(len(mark))
		if err != nil {
			return unexpected(err)
		}
		if bytes.Equal(head, mark) {
			_, err = in.Discard(len(mark))
			return err
		}
		n, _ := in.Discard(skip(in, mark))
		skipped += n
	}
	return fmt.Errorf("%d bytes and no answer among them", maxStale)
}

// skip is how many of the buffered bytes cannot begin the mark; at least 1.
func skip(in *bufio.Reader, mark []byte) int {
	have, _ := in.Peek(in.Buffered())
	if i := bytes.IndexByte(have[1:], mark[0]); i >= 0 {
		return 1 + i
	}
	return len(have)
}

// Hello is what the guest said at the beginning of the session.
func (c *Client) Hello() Hello { return c.hello }

// Done is closed when the session has ended, from either side.
func (c *Client) Done() <-chan struct{} { return c.session.CloseChan() }

// Close ends the session and closes the connection. The guest keeps its
// modules and loads, and waits for the next session.
func (c *Client) Close() error {
	err := c.session.Close()
	if c.conn.parked.Load() {
		return c.conn.Conn.Close()
	}
	return err
}

// parkable is a connection that can outlive the session on it.
type parkable struct {
	net.Conn
	parked atomic.Bool
}

func (p *parkable) Close() error {
	if p.parked.Load() {
		return p.SetDeadline(time.Unix(1, 0)) // the session's reader and writer let go
	}
	return p.Conn.Close()
}

// Park ends the session and leaves the connection open, so that a snapshot
// taken now has neither a session to end nor a host that went away: both are
// half of a fork's first answer. It returns when the guest has let go.
func (c *Client) Park(ctx context.Context) error {
	c.conn.parked.Store(true)
	if err := c.session.Close(); err != nil {
		return err
	}
	conn := c.conn.Conn
	_ = conn.SetDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	_, _, err := greet(conn, Greeting{Nonce: nonce(), Wall: -1}.preamble())
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("end the session with the guest: %w", err)
	}
	return nil
}

// broken explains an error of the session: a frame that was refused says more
// than the end of the session that followed from it.
func (c *Client) broken(err error) error {
	if !c.session.IsClosed() {
		return err
	}
	var frame *frameError
	if _, why := c.session.AcceptStream(); errors.As(why, &frame) { // a closed session's Accept gives the reason
		return frame
	}
	return fmt.Errorf("the channel to the guest is closed: %w", ErrClosed)
}

// ErrClosed is what calls give once the session has ended: by Close, or
// because the machine is gone.
var ErrClosed = net.ErrClosed
