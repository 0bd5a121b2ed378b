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
	"sync/atomic"
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

// ErrForked is the cause with which the context of a handler ends that a fork
// finds running: whoever called it did so in another machine, and neither
// waits for it here nor has given it up. What it began is to go on, as it does
// there.
var ErrForked = errors.New("this guest is a fork of the one that was asked")

// Serve is the guest's side: it answers one session after the other on conn
// until ctx ends or conn fails (nil for io.EOF). A session begins when a
// host's preamble comes, in whatever state the one before is, and hello is
// asked for anew, with the host's greeting. State lives in the handlers and
// outlasts sessions.
//
// Nothing here waits for conn to unblock: Read and Write of a port may block
// for as long as no host is attached.
func Serve(ctx context.Context, conn io.ReadWriteCloser, hello func(Greeting) Hello, handlers map[string]Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &server{hello: hello, handlers: handlers, out: make(chan said)}
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
	hello    func(Greeting) Hello
	handlers map[string]Handler
	out      chan said      // to the one writer
	sessions atomic.Int64   // begun so far
	running  sync.WaitGroup // of sessions
}

// said is what one session has to say. Once the next one has begun, nothing
// may come behind its answer: the host would take it for the new session's.
type said struct {
	session int64
	b       []byte
}

// drain is the only writer of conn. A write that hangs because the host went
// away hangs here, and sessions stay free to end.
func (s *server) drain(ctx context.Context, conn io.Writer) error {
	for {
		select {
		case m := <-s.out:
			if m.session < s.sessions.Load() {
				continue
			}
			b := m.b
			// yamux writes header and body apart; each write to a port is
			// an exit to QEMU.
			for more := true; more && len(b) < 32<<10; {
				select {
				case next := <-s.out:
					if next.session >= s.sessions.Load() {
						b = append(b, next.b...)
					}
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
			preamble := seen[at : at+preambleSize]
			current.leave(readGreeting(preamble))
			current = s.begin(ctx, preamble)
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
	p := &pipe{session: s.sessions.Add(1), in: make(chan []byte), out: s.out, done: make(chan struct{})}
	greeting := readGreeting(preamble)
	parked := greeting.Parking()
	if parked {
		s.running.Wait() // the session before, which has been told to end
	}
	h := s.hello(greeting)
	h.Protocol, h.Session = Protocol, int(p.session)
	line, err := encodeLine(h)
	if err != nil {
		return nil
	}
	answer := append(append([]byte(nil), preamble...), line...)
	s.running.Go(func() {
		defer p.end()
		if _, err := p.Write(answer); err != nil || parked {
			return
		}
		mux, err := yamux.Server(p, muxConfig())
		if err != nil {
			return
		}
		s.accept(ctx, mux, p)
	})
	return p
}

// accept runs the calls of a session.
func (s *server) accept(ctx context.Context, mux *yamux.Session, p *pipe) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer func() { cancel(p.why()) }()
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
			s.answer(ctx, stream, p)
		}()
	}
}

// pipe is the connection that yamux sees: the part of the byte stream that
// belongs to one session. All methods work on nil.
type pipe struct {
	session int64

	in   chan []byte
	rest []byte
	out  chan<- said
	done chan struct{}
	once sync.Once
	fork atomic.Bool // this guest is another one than that of the session
}

// leave ends the session for one that begins with greeting.
func (p *pipe) leave(greeting Greeting) {
	if p != nil && greeting.Wall > 0 {
		p.fork.Store(true)
	}
	p.end()
}

// why is the cause with which the session's calls end; nil for no more than
// that it is over.
func (p *pipe) why() error {
	if p.fork.Load() {
		return ErrForked
	}
	return nil
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
	case p.out <- said{p.session, append([]byte(nil), b...)}:
		return len(b), nil
	case <-p.done:
		return 0, io.ErrClosedPipe
	}
}

func (p *pipe) Close() error { p.end(); return nil }

// answer runs one call.
func (s *server) answer(ctx context.Context, stream *yamux.Stream, p *pipe) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
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
			cancel(p.why())
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
