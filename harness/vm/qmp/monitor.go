// SPDX-License-Identifier: Apache-2.0

// Package qmp speaks the QEMU Machine Protocol over one connection, behind
// go-qemu's Monitor interface, so that go-qemu's generated client (qmp/raw)
// runs on it.
//
// go-qemu's own SocketMonitor is not used: it hands out the scanner's buffer
// (a reply over 2 KiB followed by an event corrupts it), gives up on replies
// over 64 KiB, hangs every command when a subscriber does not drain its
// events, and knows neither contexts nor time-outs.
//
// What lives here: framing, matching replies to commands, events. What must
// not: what the events of a machine mean (that is vm's).
package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	goqmp "github.com/digitalocean/go-qemu/qmp"
)

// MaxLine bounds one message, in bytes. The largest known is the reply to
// query-qmp-schema, about 300 KB on QEMU 10.
const MaxLine = 16 << 20

// DefaultTimeout bounds Connect and Run, which carry no context. An emulated
// machine on a loaded host answers late, but not that late.
const DefaultTimeout = 30 * time.Second

// ErrClosed is what commands get once the connection has ended.
var ErrClosed = errors.New("QMP connection closed")

// Monitor is a QMP connection. Connect must come first; then all methods may
// be called from several goroutines at once.
type Monitor struct {
	// Timeout bounds Connect and Run; DefaultTimeout if zero.
	Timeout time.Duration
	// Log, if set, gets every message, one JSON object a line.
	Log *Log

	conn    net.Conn
	sending chan struct{} // a lock that a context can interrupt
	done    chan struct{} // closed when the reader has ended
	hello   chan goqmp.Version

	mu      sync.Mutex
	started bool
	lastID  uint64
	pending map[uint64]chan reply
	subs    map[*subscription]struct{}
	err     error // why the reader ended
}

var _ goqmp.Monitor = (*Monitor)(nil)

// reply is a message that answers a command, as it came.
type reply struct {
	line []byte
	err  error
}

// New makes a Monitor of conn, which it owns from then on.
func New(conn net.Conn) *Monitor {
	return &Monitor{
		conn:    conn,
		sending: make(chan struct{}, 1),
		done:    make(chan struct{}),
		hello:   make(chan goqmp.Version, 1),
		pending: map[uint64]chan reply{},
		subs:    map[*subscription]struct{}{},
	}
}

// Connect is ConnectContext within Timeout.
func (m *Monitor) Connect() error {
	ctx, cancel := m.timeout()
	defer cancel()
	_, err := m.ConnectContext(ctx)
	return err
}

// ConnectContext waits for QEMU's greeting and leaves negotiation mode.
func (m *Monitor) ConnectContext(ctx context.Context) (goqmp.Version, error) {
	m.mu.Lock()
	if m.started {
		m.mu.Unlock()
		return goqmp.Version{}, errors.New("QMP connection: Connect called twice")
	}
	m.started = true
	m.mu.Unlock()
	go m.read()

	var version goqmp.Version
	select {
	case version = <-m.hello:
	case <-m.done:
		return version, m.Err()
	case <-ctx.Done():
		return version, fmt.Errorf("wait for QEMU's QMP greeting: %w", context.Cause(ctx))
	}
	return version, m.Execute(ctx, "qmp_capabilities", nil, nil)
}

// Disconnect closes the connection; commands under way get ErrClosed.
func (m *Monitor) Disconnect() error {
	err := m.conn.Close()
	m.mu.Lock()
	started := m.started
	m.started = true // a late Connect must not wait for anything
	m.mu.Unlock()
	if started {
		<-m.done
	} else {
		m.end(ErrClosed)
	}
	return err
}

// Done is closed when the connection has ended; Err then says why.
func (m *Monitor) Done() <-chan struct{} { return m.done }

// Err is why the connection ended; nil as long as it lives.
func (m *Monitor) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *Monitor) timeout() (context.Context, context.CancelFunc) {
	d := m.Timeout
	if d == 0 {
		d = DefaultTimeout
	}
	return context.WithTimeout(context.Background(), d)
}

// message is any line from QEMU, as far as it must be understood here.
// https://www.qemu.org/docs/master/interop/qmp-spec.html
type message struct {
	QMP *struct {
		Version goqmp.Version `json:"version"`
	} `json:"QMP"`
	Event string          `json:"event"`
	ID    json.RawMessage `json:"id"`
	Error *Error          `json:"error"`
	Value json.RawMessage `json:"return"`
}

// read takes lines until the connection ends. It never waits for anybody
// but QEMU.
func (m *Monitor) read() {
	r := bufio.NewReaderSize(m.conn, 64<<10)
	for {
		line, err := readLine(r)
		if err == nil {
			err = m.take(line)
		}
		if err != nil {
			m.end(err)
			return
		}
	}
}

// readLine gives the next line in memory of its own.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > MaxLine {
			return nil, fmt.Errorf("QMP message of more than %d bytes", MaxLine)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, fmt.Errorf("QMP connection ended inside a message: %w", io.ErrUnexpectedEOF)
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return nil, ErrClosed
		default:
			return nil, fmt.Errorf("%w: %w", ErrClosed, err)
		}
	}
}

func (m *Monitor) take(line []byte) error {
	var msg message
	if err := json.Unmarshal(line, &msg); err != nil {
		// QEMU never sends this. Going on would leave commands without
		// their replies, so everybody hears of it now.
		return fmt.Errorf("QMP message is not as the protocol has it: %w: %s", err, cut(line, 200))
	}
	switch {
	case msg.QMP != nil:
		select {
		case m.hello <- msg.QMP.Version:
		default: // a second greeting means nothing
		}
	case msg.Event != "":
		var event goqmp.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("QMP event is not as the protocol has it: %w: %s", err, cut(line, 200))
		}
		m.Log.event(line)
		m.publish(event)
	case msg.Error != nil || msg.Value != nil:
		m.Log.reply(line)
		m.answer(msg, line)
	}
	return nil
}

// answer hands a reply to the command it belongs to. Nobody may wait for it
// any more; then it is dropped.
func (m *Monitor) answer(msg message, line []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var id uint64
	if len(msg.ID) == 0 {
		// QEMU could not even parse the command, and so knows no id. It
		// answers in order: the oldest it is.
		for waiting := range m.pending {
			if id == 0 || waiting < id {
				id = waiting
			}
		}
	} else if err := json.Unmarshal(msg.ID, &id); err != nil {
		return
	}
	ch, ok := m.pending[id]
	if !ok {
		return
	}
	delete(m.pending, id)
	if msg.Error != nil {
		ch <- reply{err: msg.Error}
	} else {
		ch <- reply{line: line}
	}
}

// end is the one place where the connection's end becomes known.
func (m *Monitor) end(err error) {
	_ = m.conn.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return
	}
	m.err = err
	for id, ch := range m.pending {
		delete(m.pending, id)
		ch <- reply{err: err}
	}
	for sub := range m.subs {
		m.unsubscribe(sub)
	}
	close(m.done)
}

func cut(b []byte, n int) string {
	if len(b) > n {
		return fmt.Sprintf("%q… (%d bytes)", b[:n], len(b))
	}
	return fmt.Sprintf("%q", b)
}
