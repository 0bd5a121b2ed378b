// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// ErrDetached is what the Read of a guest's port gives while no host seems to
// be attached: the port is to be read again.
//
// It does not mean that the session is over: the kernel hears of hosts coming
// and going through another queue than that of the data, and a kworker, so
// "gone" and "back" can both arrive after the new host's first bytes.
var ErrDetached = errors.New("no host is attached")

// Serve is the guest's side: it answers one session after the other on conn
// until ctx ends or conn fails (nil for io.EOF). A session begins when a
// host's preamble comes, in whatever state the one before is, and hello is
// asked for anew. State lives in the handlers and outlasts sessions.
//
// Nothing here waits for conn to unblock: Read and Write of a port may block
// for as long as no host is attached.
func Serve(ctx context.Context, conn io.ReadWriteCloser, hello func() Hello, handlers map[string]Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &server{hello: hello, handlers: handlers, out: make(chan []byte)}
	go func() { cancel(s.drain(ctx, conn)) }()
	go func() { cancel(s.pump(ctx, conn)) }()
	<-ctx.Done()
	conn.Close()
	if err := context.Cause(ctx); !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

type server struct {
	hello    func() Hello
	handlers map[string]Handler
	out      chan []byte // to the one writer
	sessions int
}

// drain is the only writer of conn. A write that hangs because the host went
// away hangs here, and sessions stay free to end.
func (s *server) drain(ctx context.Context, conn io.Writer) error {
	for {
		select {
		case b := <-s.out:
			// yamux writes header and body apart; each write to a port is
			// an exit to QEMU.
			for more := true; more && len(b) < 32<<10; {
				select {
				case next := <-s.out:
					b = append(b, next...)
				default:
					more = false
				}
			}
			if _, err := conn.Write(b); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// goneAfter is how long ErrDetached must last for the session to end. (A new
// host's preamble ends it at once.)
const goneAfter = 2 * time.Second

// pump is the only reader of conn. It hands bytes to the session of the
// moment and watches all of them for a new preamble.
func (s *server) pump(ctx context.Context, conn io.Reader) error {
	var current *pipe
	defer func() { current.end() }()
	buf := make([]byte, 32<<10)
	var tail []byte // the last bytes seen, less than a preamble
	var detached time.Time
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			detached = time.Time{}
		}
		for b := buf[:n]; len(b) > 0; {
			seen := append(tail, b...)
			at := findPreamble(seen)
			if at < 0 || len(seen) < at+preambleSize {
				// The beginning of a preamble goes to the old session as
				// well: holding back what only might be one would stop it.
				current.feed(ctx, b)
				keep := min(len(seen), magicSize-1)
				if at >= 0 {
					keep = len(seen) - at
				}
				tail = append([]byte(nil), seen[len(seen)-keep:]...)
				break
			}
			current.end()
			current = s.begin(ctx, seen[at:at+preambleSize])
			b, tail = append([]byte(nil), seen[at+preambleSize:]...), nil
		}
		switch {
		case errors.Is(err, ErrDetached) && detached.IsZero():
			detached = time.Now()
		case errors.Is(err, ErrDetached):
			if time.Since(detached) > goneAfter {
				current.end()
				current, tail = nil, nil
			}
		case err != nil:
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// findPreamble gives where a preamble begins in b, -1 for nowhere. One whose
// end was never sent (its host was killed) is passed over for the one that
// begins in its place.
func findPreamble(b []byte) int {
	at := bytes.Index(b, magic)
	if at < 0 {
		return -1
	}
	end := min(len(b), at+preambleSize)
	for i := at + magicSize; i <= end-4; i++ { // four bytes are chance once in 2^32
		if next := b[i:end]; bytes.HasPrefix(next, magic) || bytes.HasPrefix(magic, next) {
			return i
		}
	}
	return at
}

// begin answers a preamble and starts its session.
func (s *server) begin(ctx context.Context, preamble []byte) *pipe {
	p := &pipe{in: make(chan []byte), out: s.out, done: make(chan struct{})}
	s.sessions++
	h := s.hello()
	h.Protocol, h.Session = Protocol, s.sessions
	line, err := encodeLine(h)
	if err != nil {
		return nil
	}
	answer := append(append([]byte(nil), preamble...), line...)
	go func() {
		defer p.end()
		if _, err := p.Write(answer); err != nil {
			return
		}
		mux, err := yamux.Server(p, muxConfig())
		if err != nil {
			return
		}
		s.accept(ctx, mux)
	}()
	return p
}

// accept runs the calls of a session.
func (s *server) accept(ctx context.Context, mux *yamux.Session) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer mux.Close()
	slots := make(chan struct{}, 2*MaxCalls) // the host's limit and those that are just ending
	for {
		stream, err := mux.AcceptStream()
		if err != nil {
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			defer stream.Close()
			s.answer(ctx, stream)
		}()
	}
}

// pipe is the connection that yamux sees: the part of the byte stream that
// belongs to one session. All methods work on nil.
type pipe struct {
	in   chan []byte
	rest []byte
	out  chan<- []byte
	done chan struct{}
	once sync.Once
}

func (p *pipe) feed(ctx context.Context, b []byte) {
	if p == nil {
		return
	}
	select {
	case p.in <- append([]byte(nil), b...):
	case <-p.done:
	case <-ctx.Done():
	}
}

func (p *pipe) end() {
	if p != nil {
		p.once.Do(func() { close(p.done) })
	}
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		select {
		case p.rest = <-p.in:
		case <-p.done:
			return 0, io.EOF
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	select {
	case p.out <- append([]byte(nil), b...):
		return len(b), nil
	case <-p.done:
		return 0, io.ErrClosedPipe
	}
}

func (p *pipe) Close() error { p.end(); return nil }

// answer runs one call.
func (s *server) answer(ctx context.Context, stream *yamux.Stream) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &Call{stream: stream, in: newReader(stream)}
	line, err := readLine(c.in, MaxLine)
	if err != nil {
		return // torn off before it was said
	}
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		_ = c.send(response{Done: true, Error: remoteError(err)})
		return
	}
	c.raw = r.In
	h, known := s.handlers[r.Method]
	if !known {
		_ = c.send(response{Done: true, Error: remoteError(fmt.Errorf("the agent has no such call"))})
		return
	}
	if !h.Upload {
		// The host says nothing more: whatever comes is it closing the call.
		go func() {
			_, _ = c.in.ReadByte()
			cancel()
			// yamux would let a handler that waits for the host's window wait
			// on: a stream closed at the other end may still be written to.
			_ = stream.SetDeadline(time.Unix(1, 0))
		}()
	}
	out, err := h.Do(ctx, c)
	last := response{Done: true, Error: remoteError(err)}
	if err == nil && out != nil {
		if last.Out, err = json.Marshal(out); err != nil {
			last.Error = remoteError(err)
		}
	}
	if err := c.send(last); errors.Is(err, errLong) {
		_ = c.send(response{Done: true, Error: remoteError(err)})
	}
}
