// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// port is a virtio-serial port: hosts come and go, and it says ErrDetached
// while there is none.
type port struct {
	mu   sync.Mutex
	host net.Conn
	here chan struct{} // closed when a host is attached
	late bool          // the next Read tells of a host that left before
}

func newPort() *port { return &port{here: make(chan struct{})} }

func (p *port) attach(t *testing.T) net.Conn {
	ours, theirs := pair(t)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		select {
		case <-p.here:
			return false // the host before is still thought to be there
		default:
			p.host = theirs
			close(p.here)
			return true
		}
	}, time.Minute, time.Millisecond)
	return ours
}

func (p *port) wait() net.Conn {
	p.mu.Lock()
	here := p.here
	p.mu.Unlock()
	<-here
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.host
}

func (p *port) Read(b []byte) (int, error) {
	p.mu.Lock()
	here, late := p.here, p.late
	p.late = false
	p.mu.Unlock()
	if late {
		return 0, ErrDetached
	}
	select {
	case <-here:
	case <-time.After(10 * time.Millisecond):
		return 0, ErrDetached
	}
	host := p.wait()
	n, err := host.Read(b)
	if errors.Is(err, net.ErrClosed) {
		return n, io.EOF // the test is over
	}
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.host == host {
			p.here = make(chan struct{})
		}
		return n, ErrDetached
	}
	return n, nil
}

// Write blocks while there is no host; what it held comes to the next one.
func (p *port) Write(b []byte) (int, error) {
	for {
		host := p.wait()
		if _, err := host.Write(b); err == nil || errors.Is(err, net.ErrClosed) {
			return len(b), nil
		}
		time.Sleep(time.Millisecond)
	}
}

func (p *port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.host != nil {
		p.host.Close()
	}
	return nil
}

func TestSessionsFollowEachOther(t *testing.T) {
	p, g := newPort(), newGuest()
	go func() { _ = Serve(context.Background(), p, g.hello, g.handlers()) }()
	defer p.Close()
	for i := 1; i <= 20; i++ {
		c, err := Dial(t.Context(), p.attach(t))
		require.NoError(t, err)
		require.Equal(t, i, c.Hello().Session)
		var n int
		require.NoError(t, c.Call(t.Context(), "double", i, &n))
		require.Equal(t, 2*i, n)
		// Leave in the middle of things: a flood under way, a call that hangs.
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = c.Stream(ctx, "flood", None{}, nothing) }()
		go func() { _ = c.Call(ctx, "hang", None{}, nil) }()
		<-g.started // however long that takes
		cancel()
		c.Close()
		require.Eventually(t, func() bool { return len(g.stopped) >= i }, time.Minute, time.Millisecond, "handlers of the session before are told")
	}
}

func nothing(json.RawMessage) error { return nil }

// After a fork of a snapshot the guest sees neither end nor beginning: on one
// and the same stream another host speaks, perhaps after half a frame of the
// host before.
func TestResynchronises(t *testing.T) {
	half := append([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0}, []byte("half a frame of 64 KiB")...)
	almost := append([]byte(nil), magic[:10]...)
	for name, stale := range map[string][]byte{
		"nothing":                nil,
		"half a frame":           half,
		"half a header":          {0, 0, 0},
		"half a preamble":        almost,
		"a preamble without end": append(append([]byte(nil), magic...), 1, 2, 3),
		"garbage":                garbage(100_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, conn := serve(t)
			first, err := Dial(t.Context(), keepOpen{conn})
			require.NoError(t, err)
			require.NoError(t, first.Call(t.Context(), "double", 1, nil))
			// The old host vanishes without a word; its reader must not take
			// the new one's bytes.
			require.NoError(t, conn.SetReadDeadline(time.Unix(1, 0)))
			<-first.Done()
			require.NoError(t, conn.SetReadDeadline(time.Time{}))
			_, err = conn.Write(stale)
			require.NoError(t, err)

			second, err := Dial(t.Context(), conn)
			require.NoError(t, err)
			defer second.Close()
			require.Equal(t, 2, second.Hello().Session)
			var n int
			require.NoError(t, second.Call(t.Context(), "double", 4, &n))
			require.Equal(t, 8, n)
		})
	}
}

// keepOpen is a connection that its user cannot close.
type keepOpen struct{ net.Conn }

func (keepOpen) Close() error { return nil }

func garbage(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// The kernel's word that the old host is gone can come when the new one has
// spoken already.
func TestLateDetach(t *testing.T) {
	p, g := newPort(), newGuest()
	go func() { _ = Serve(context.Background(), p, g.hello, g.handlers()) }()
	defer p.Close()
	c, err := Dial(t.Context(), p.attach(t))
	require.NoError(t, err)
	defer c.Close()
	for range 5 {
		p.mu.Lock()
		p.late = true
		p.mu.Unlock()
		require.NoError(t, c.Call(t.Context(), "double", 1, nil)) // ends the Read before
		require.NoError(t, c.Call(t.Context(), "double", 1, nil))
	}
}

// A host that is gone for good is noticed, and what it had asked for stopped.
func TestDetachEndsCalls(t *testing.T) {
	p, g := newPort(), newGuest()
	go func() { _ = Serve(context.Background(), p, g.hello, g.handlers()) }()
	defer p.Close()
	conn := p.attach(t)
	c, err := Dial(t.Context(), conn)
	require.NoError(t, err)
	go func() { _ = c.Call(t.Context(), "hang", None{}, nil) }()
	<-g.started // another call would not do: it may overtake this one
	c.Close()
	<-g.stopped
}
