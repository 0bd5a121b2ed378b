// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guest is a Serve on one end of a connection.
type guest struct {
	files   map[string][]byte
	started chan struct{} // a call of "hang" is under way
	stopped chan struct{} // a call of "hang" or "flood" was told to stop
	hellos  atomic.Int32
}

func newGuest() *guest {
	return &guest{files: map[string][]byte{}, started: make(chan struct{}, 100), stopped: make(chan struct{}, 100)}
}

func (g *guest) hello(Greeting) Hello {
	g.hellos.Add(1)
	return Hello{Release: "6.1.0-test", Capabilities: map[string]bool{"livepatch": true}}
}

func (g *guest) handlers() map[string]Handler {
	return map[string]Handler{
		"double": Answer(func(_ context.Context, n int) (int, error) { return 2 * n, nil }),
		"fail": Answer(func(_ context.Context, errno int) (None, error) {
			return None{}, fmt.Errorf("load module x.ko: %w", syscall.Errno(errno))
		}),
		"hang": Answer(func(ctx context.Context, _ None) (None, error) {
			g.started <- struct{}{}
			<-ctx.Done()
			g.stopped <- struct{}{}
			return None{}, ctx.Err()
		}),
		"count": Events(func(_ context.Context, n int, emit func(any) error) error {
			for i := range n {
				if err := emit(i); err != nil {
					return err
				}
			}
			return nil
		}),
		"flood": Events(func(ctx context.Context, _ None, emit func(any) error) error {
			defer func() { g.stopped <- struct{}{} }()
			for ctx.Err() == nil {
				if err := emit(strings.Repeat("x", 1000)); err != nil {
					return err
				}
			}
			return ctx.Err()
		}),
		"huge": Answer(func(context.Context, None) (string, error) { return strings.Repeat("x", 2*MaxLine), nil }),
		"put": {Upload: true, Do: func(_ context.Context, c *Call) (any, error) {
			var in PutFile
			if err := c.Decode(&in); err != nil {
				return nil, err
			}
			var b bytes.Buffer
			var w io.Writer = &b
			if in.Path == "/full" {
				w = fullDisk{}
			}
			n, err := c.Chunks(w)
			if err != nil {
				return nil, err
			}
			if n != in.Size {
				return nil, errors.New("another size")
			}
			g.files[in.Path] = b.Bytes()
			return nil, nil
		}},
		"get": Download(func(_ context.Context, in GetFile) (io.ReadCloser, int64, error) {
			b, ok := g.files[in.Path]
			if !ok {
				return nil, 0, fmt.Errorf("open %s: %w", in.Path, syscall.ENOENT)
			}
			return io.NopCloser(bytes.NewReader(b)), in.Limit, nil
		}),
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// connect starts a guest and dials it.
func connect(t *testing.T) (*guest, *Client) {
	t.Helper()
	g, ours := serve(t)
	c, err := Dial(t.Context(), ours)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return g, c
}

func serve(t *testing.T) (*guest, net.Conn) {
	t.Helper()
	ours, theirs := pair(t)
	g := newGuest()
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { served <- Serve(ctx, theirs, g.hello, g.handlers()) }()
	t.Cleanup(func() { cancel(); ours.Close(); <-served })
	return g, ours
}

// pair is a socket pair: buffered, as QEMU's is.
func pair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	require.NoError(t, err)
	defer l.Close()
	ours, err = net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	theirs, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestCalls(t *testing.T) {
	_, c := connect(t)
	ctx := t.Context()
	require.Equal(t, "6.1.0-test", c.Hello().Release)
	require.Equal(t, Protocol, c.Hello().Protocol)
	require.True(t, c.Hello().Capabilities["livepatch"])

	var n int
	require.NoError(t, c.Call(ctx, "double", 21, &n))
	require.Equal(t, 42, n)

	err := c.Call(ctx, "fail", int(syscall.ENOEXEC), nil)
	require.ErrorIs(t, err, syscall.ENOEXEC)
	require.NotErrorIs(t, err, syscall.ENOENT)
	var remote *RemoteError
	require.ErrorAs(t, err, &remote)
	require.Equal(t, "guest: fail: load module x.ko: exec format error", err.Error())

	require.ErrorContains(t, c.Call(ctx, "nonesuch", nil, nil), "no such call")
	require.ErrorContains(t, c.Call(ctx, "double", "a string", nil), "request")
	require.ErrorContains(t, c.Call(ctx, "huge", None{}, nil), "too long")
	require.Error(t, c.Call(ctx, "double", strings.Repeat("x", 2*MaxLine), nil))
	require.NoError(t, c.Call(ctx, "double", 1, &n), "none of this ended the session")
}

func TestManyCallsAtOnce(t *testing.T) {
	_, c := connect(t)
	errs := make(chan error)
	const calls = 5 * MaxCalls
	for i := range calls {
		go func() {
			var n int
			err := c.Call(t.Context(), "double", i, &n)
			if err == nil && n != 2*i {
				err = fmt.Errorf("double %d is %d", i, n)
			}
			errs <- err
		}()
	}
	for range calls {
		require.NoError(t, <-errs)
	}
}

func TestStreams(t *testing.T) {
	g, c := connect(t)
	next := 0
	err := c.Stream(t.Context(), "count", 5000, func(raw json.RawMessage) error {
		var n int
		require.NoError(t, json.Unmarshal(raw, &n))
		require.Equal(t, next, n)
		next++
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 5000, next)

	// Whichever way the host leaves, the guest is told.
	enough := errors.New("enough")
	require.ErrorIs(t, c.Stream(t.Context(), "flood", None{}, func(json.RawMessage) error { return enough }), enough)
	<-g.stopped
	ctx, cancel := context.WithCancel(t.Context())
	err = c.Stream(ctx, "flood", None{}, func(json.RawMessage) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	<-g.stopped
}

// A guest that has filled the window and waits for it is told as well.
func TestLeavingAFullStream(t *testing.T) {
	g, c := connect(t)
	enough := errors.New("enough")
	start := time.Now()
	err := c.Stream(t.Context(), "flood", None{}, func(json.RawMessage) error {
		time.Sleep(50 * time.Millisecond) // the guest runs far ahead meanwhile
		return enough
	})
	require.ErrorIs(t, err, enough)
	<-g.stopped
	require.Less(t, time.Since(start), muxConfig().StreamCloseTimeout, "only yamux's time-out ended it")
}

func TestContextEndsCalls(t *testing.T) {
	g, c := connect(t)
	for range 2 * MaxCalls { // the slots come back
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		require.ErrorIs(t, c.Call(ctx, "hang", None{}, nil), context.DeadlineExceeded)
		cancel()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, c.Call(ctx, "double", 1, nil), context.Canceled)
	require.NoError(t, c.Call(t.Context(), "double", 1, nil))
	require.Eventually(t, func() bool { return len(g.stopped) > 0 }, time.Minute, time.Millisecond)
}

func TestFiles(t *testing.T) {
	_, c := connect(t)
	ctx := t.Context()
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 << 20} {
		content := bytes.Repeat([]byte("0123456789abcdefg"), size/17+1)[:size]
		require.NoError(t, c.Put(ctx, "/a", 0o644, bytes.NewReader(content), int64(size)))
		var back bytes.Buffer
		require.NoError(t, c.Get(ctx, "/a", &back, int64(size)))
		require.True(t, bytes.Equal(content, back.Bytes()), "size %d", size)
		if size > 0 {
			require.ErrorIs(t, c.Get(ctx, "/a", io.Discard, int64(size)-1), ErrTooBig)
		}
	}
	require.ErrorIs(t, c.Get(ctx, "/b", io.Discard, 10), syscall.ENOENT)
	_, err := c.ReadFile(ctx, "/b")
	require.ErrorIs(t, err, syscall.ENOENT)

	// More than the window and the guest takes none of it: the error comes.
	big := make([]byte, 4*window)
	require.ErrorIs(t, c.Put(ctx, "/full", 0o644, bytes.NewReader(big), int64(len(big))), syscall.ENOSPC)

	// A file shorter than announced is not left half written.
	require.ErrorIs(t, c.Put(ctx, "/short", 0o644, strings.NewReader("abc"), 10), io.ErrUnexpectedEOF)
	require.ErrorIs(t, c.Get(ctx, "/short", io.Discard, 10), syscall.ENOENT)
}

func TestCloseEndsCalls(t *testing.T) {
	g, c := connect(t)
	failed := make(chan error, 1)
	go func() { failed <- c.Call(t.Context(), "hang", None{}, nil) }()
	require.NoError(t, c.Call(t.Context(), "double", 1, nil))
	c.Close()
	require.ErrorIs(t, <-failed, ErrClosed)
	require.ErrorIs(t, c.Call(t.Context(), "double", 1, nil), ErrClosed)
	<-c.Done()
	_ = g
}
