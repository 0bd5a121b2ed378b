// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"github.com/stretchr/testify/require"
)

func frame(kind byte, flags uint16, stream, length uint32, payload string) []byte {
	b := []byte{frameVersion, kind}
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	b = binary.BigEndian.AppendUint32(b, length)
	return append(b, payload...)
}

func data(stream uint32, text string) []byte {
	return frame(typeData, 0, stream, uint32(len(text)), text)
}

const (
	flagACK  = 2
	typePing = 2
)

// impostor answers the preamble with hello, then sends what says for as long
// as the host takes it, and never reads again.
func impostor(conn net.Conn, hello string, says func(w io.Writer) error) {
	preamble := make([]byte, preambleSize)
	if _, err := io.ReadFull(conn, preamble); err != nil {
		return
	}
	if _, err := conn.Write(append(preamble, hello...)); err != nil {
		return
	}
	for says != nil && says(conn) == nil {
	}
}

const goodHello = `{"protocol":1,"release":"6.1.0"}` + "\n"

func repeat(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

// Nothing that a guest sends in place of a hello makes Dial wait beyond its
// context or take a wrong guest for a right one.
func TestHostileHello(t *testing.T) {
	for name, tc := range map[string]struct {
		hello string
		says  func(io.Writer) error
		want  string
	}{
		"silent":          {"", nil, "deadline"},
		"not JSON":        {"hello\n", nil, "invalid character"},
		"other protocol":  {`{"protocol":99}` + "\n", nil, "rebuild the image"},
		"endless hello":   {`{"release":"`, repeat([]byte(strings.Repeat("x", 4096))), "too long"},
		"hello of arrays": {strings.Repeat("[", 60_000) + "\n", nil, "depth"},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pair(t)
			go impostor(theirs, tc.hello, tc.says)
			wait := time.Minute
			if tc.want == "deadline" {
				wait = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			_, err := Dial(ctx, ours)
			require.ErrorContains(t, err, tc.want)
		})
	}
	t.Run("endless garbage", func(t *testing.T) {
		ours, theirs := pair(t)
		go func() {
			for says := repeat(garbage(1 << 20)); says(theirs) == nil; {
			}
		}()
		_, err := Dial(t.Context(), ours)
		require.ErrorContains(t, err, "no answer among them")
	})
}

// Whatever a guest sends after its hello: calls end by their context at the
// latest, the goroutines and the memory they take are bounded, and nothing is
// left behind.
func TestHostileGuest(t *testing.T) {
	ack := frame(typeWindow, flagACK, 1, window, "")
	for name, tc := range map[string]struct {
		says func(io.Writer) error
		want string
	}{
		"pings":                   {repeat(bytes.Repeat(frame(typePing, flagSYN, 0, 7, ""), 1000)), "opened a stream"},
		"ping answers":            {repeat(frame(typePing, flagACK, 0, 7, "")), "frame of type 2"},
		"streams of its own":      {repeat(frame(typeWindow, flagSYN, 2, 0, "")), "opened a stream"},
		"another version":         {repeat([]byte{9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), "version 9"},
		"a frame of 4 GiB":        {repeat(frame(typeData, 0, 1, 1<<32-1, "x")), "the window is"},
		"more than the window":    {repeat(append(ack, bytes.Repeat(data(1, strings.Repeat("x", 64<<10)), 9)...)), "deadline|closed"},
		"data for no stream":      {repeat(data(77, "nobody asked")), "deadline"},
		"windows without end":     {repeat(frame(typeWindow, 0, 1, 1<<31, "")), "deadline"},
		"an endless line":         {slowly(append(ack, data(1, strings.Repeat("x", 16<<10))...), data(1, strings.Repeat("x", 16<<10))), "too long|closed|deadline"},
		"not JSON":                {once(append(ack, data(1, "}{\n")...)), "invalid character"},
		"an event for an answer":  {once(append(ack, data(1, `{"event":1}`+"\n")...)), "an event instead"},
		"an answer of other type": {once(append(ack, data(1, `{"done":true,"out":"x"}`+"\n")...)), "the guest's answer"},
		"an error of any shape":   {once(append(ack, data(1, `{"done":true,"error":{"errno":-5,"message":7}}`+"\n")...)), "cannot unmarshal"},
		"the end at once":         {once(frame(typeGoAway, 0, 0, 2, "")), "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			ours, theirs := pair(t)
			done := make(chan struct{})
			go func() { defer close(done); impostor(theirs, goodHello, tc.says) }()
			c, err := Dial(t.Context(), ours)
			require.NoError(t, err)
			// On a busy host it takes time until what ends a call has come; only
			// where nothing does is the context's end what is waited for.
			const moment = 300 * time.Millisecond
			wait := time.Minute
			if strings.Contains(tc.want, "deadline") {
				wait = moment
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			var n int
			err = c.Call(ctx, "double", 1, &n)
			require.Error(t, err)
			requireOneOf(t, tc.want, err)
			require.Less(t, runtime.NumGoroutine(), before+30)
			ctx, cancel = context.WithTimeout(t.Context(), moment)
			defer cancel()
			require.Error(t, c.Stream(ctx, "flood", None{}, func(json.RawMessage) error { return nil }))
			require.Error(t, c.Get(ctx, "/x", io.Discard, 1<<40))
			require.Error(t, c.Put(ctx, "/x", 0o600, bytes.NewReader(make([]byte, 1<<20)), 1<<20))
			c.Close()
			theirs.Close()
			<-done
			require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, time.Minute, 5*time.Millisecond, "goroutines left")
		})
	}
}

func requireOneOf(t *testing.T, want string, err error) {
	t.Helper()
	for text := range strings.SplitSeq(want, "|") {
		if strings.Contains(err.Error(), text) {
			return
		}
	}
	t.Fatalf("%q has none of %q", err, want)
}

// once says b, then nothing more, and keeps the connection.
func once(b []byte) func(io.Writer) error {
	said := false
	return func(w io.Writer) error {
		if said {
			time.Sleep(time.Millisecond)
			_, err := w.Write(nil)
			return err
		}
		said = true
		heard(w)
		_, err := w.Write(b)
		return err
	}
}

// heard waits until the host has opened its first stream: what is said of it
// before that is dropped.
func heard(w io.Writer) { _, _ = io.ReadFull(w.(io.Reader), make([]byte, headerSize)) }

// slowly says first, then rest over and over, at a pace that lets the reader
// open its window.
func slowly(first, rest []byte) func(io.Writer) error {
	var next []byte
	return func(w io.Writer) error {
		if next == nil {
			heard(w)
			next = first
		}
		_, err := w.Write(next)
		next = rest
		time.Sleep(time.Millisecond)
		return err
	}
}

// Why there is a guard: yamux itself answers each ping in a goroutine of its
// own, and they pile up when the peer does not read.
func TestYamuxAloneIsNotBounded(t *testing.T) {
	ours, theirs := pair(t)
	s, err := yamux.Client(ours, muxConfig())
	require.NoError(t, err)
	defer s.Close()
	go func() {
		for says := repeat(bytes.Repeat(frame(typePing, flagSYN, 0, 7, ""), 1000)); says(theirs) == nil; {
		}
	}()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() > 20_000 }, time.Minute, time.Millisecond,
		"yamux bounds its goroutines now: the guard's rule against pings could go")
}

// reference judges a whole stream of bytes from the guest as the guard should.
func reference(b []byte) (good bool) {
	for len(b) >= headerSize {
		flags, length := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[8:])
		switch {
		case b[0] != 0, flags&^0xf != 0, flags&1 != 0, b[1] == 2, b[1] > 3, b[1] == 0 && length > window:
			return false
		}
		skip := headerSize
		if b[1] == 0 {
			skip += int(length)
		}
		b = b[min(skip, len(b)):]
	}
	return true
}

// The guard says the same however the stream is cut into reads, and passes
// on what it takes byte for byte.
func FuzzGuard(f *testing.F) {
	f.Add(data(1, "hello"), byte(3))
	f.Add(append(frame(typeWindow, flagACK, 1, 5, ""), frame(typePing, 1, 0, 0, "")...), byte(1))
	f.Add(frame(typeData, 0, 1, 1<<31, ""), byte(12))
	f.Fuzz(func(t *testing.T, in []byte, cut byte) {
		g := &guard{r: &cutter{in, int(cut)%40 + 1}}
		out, err := io.ReadAll(g)
		if good := err == nil; good != reference(in) {
			t.Fatalf("taken: %v, should be %v (%v)", good, reference(in), err)
		}
		if !bytes.HasPrefix(in, out) || err == nil && len(out) != len(in) {
			t.Fatal("changed on the way")
		}
	})
}

type cutter struct {
	b []byte
	n int
}

func (c *cutter) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(c.n, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

// The host's side against any bytes from the guest, before and after a good
// hello.
func FuzzClient(f *testing.F) {
	f.Add([]byte(goodHello), []byte{})
	f.Add([]byte(goodHello), append(frame(typeWindow, flagACK, 1, window, ""), data(1, `{"done":true,"out":2}`+"\n")...))
	f.Add([]byte("{}\n"), data(1, "x"))
	f.Fuzz(func(t *testing.T, hello, then []byte) {
		ours, theirs := net.Pipe()
		go func() {
			impostor(theirs, string(hello), nil)
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			_, _ = theirs.Write(then)
		}()
		defer theirs.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		c, err := Dial(ctx, ours)
		if err != nil {
			return
		}
		var n int
		_ = c.Call(ctx, "double", 1, &n)
		c.Close()
	})
}
