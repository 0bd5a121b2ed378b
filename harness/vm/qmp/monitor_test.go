// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "x"}, "capabilities": ["oob"]}}` + "\n"
	beat     = `{"event": "BEAT", "data": {"n": 1}, "timestamp": {"seconds": 5, "microseconds": 7}}` + "\n"
)

// peer plays QEMU at the other end: answer gets each command (name, id as
// it came) and gives what to write.
type peer struct {
	net.Conn
	t testing.TB
}

func (p peer) say(text string) {
	_, err := io.WriteString(p, text)
	require.NoError(p.t, err)
}

func serve(t testing.TB, answer func(p peer, name string, id json.RawMessage)) *Monitor {
	t.Helper()
	ours, theirs := net.Pipe()
	m := New(ours)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer theirs.Close()
		p := peer{theirs, t}
		if _, err := io.WriteString(p, greeting); err != nil {
			return
		}
		lines := bufio.NewScanner(theirs)
		for lines.Scan() {
			var c struct {
				Execute string          `json:"execute"`
				ID      json.RawMessage `json:"id"`
			}
			if json.Unmarshal(lines.Bytes(), &c) != nil {
				fmt.Fprintf(p, `{"error": {"class": "GenericError", "desc": "JSON parse error"}}`+"\n")
				continue
			}
			if c.Execute == "qmp_capabilities" {
				fmt.Fprintf(p, `{"return": {}, "id": %s}`+"\n", c.ID)
				continue
			}
			answer(p, c.Execute, c.ID)
		}
	})
	t.Cleanup(func() {
		_ = m.Disconnect()
		wg.Wait()
	})
	return m
}

func ok(p peer, name string, id json.RawMessage) {
	fmt.Fprintf(p, `{"return": {"said": %q}, "id": %s}`+"\n", name, id)
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestRun(t *testing.T) {
	m := serve(t, ok)
	v, err := m.ConnectContext(soon(t))
	require.NoError(t, err)
	require.Equal(t, "7.2.22", v.String())
	require.ErrorContains(t, m.Connect(), "twice")

	var got struct{ Said string }
	require.NoError(t, m.Execute(soon(t), "query-status", nil, &got))
	require.Equal(t, "query-status", got.Said)

	line, err := m.Run([]byte(`{"execute": "stop", "id": "mine"}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"return": {"said": "stop"}, "id": 3}`, string(line))

	for _, bad := range []string{"", "null", "[]", `"x"`, `{"execute":`} {
		_, err := m.Run([]byte(bad))
		require.ErrorContains(t, err, "JSON object", bad)
	}
}

func TestRefusal(t *testing.T) {
	m := serve(t, func(p peer, name string, id json.RawMessage) {
		fmt.Fprintf(p, `{"error": {"class": "CommandNotFound", "desc": "never heard of %s"}, "id": %s}`+"\n", name, id)
	})
	require.NoError(t, m.Connect())
	err := m.Execute(soon(t), "dance", nil, nil)
	var refusal *Error
	require.True(t, errors.As(err, &refusal))
	require.Equal(t, "CommandNotFound", refusal.Class)
	require.EqualError(t, err, "QMP dance: never heard of dance")
}

// A reply without an id is to the command that QEMU could not parse.
func TestRefusalWithoutID(t *testing.T) {
	m := serve(t, func(p peer, _ string, _ json.RawMessage) {
		p.say(`{"error": {"class": "GenericError", "desc": "JSON parse error"}}` + "\n")
	})
	require.NoError(t, m.Connect())
	require.EqualError(t, m.Execute(soon(t), "x", nil, nil), "QMP x: JSON parse error")
}

// What go-qemu's SocketMonitor breaks on: big replies with events between.
func TestHugeAndInterleaved(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	m := serve(t, func(p peer, name string, id json.RawMessage) {
		p.say(beat)
		line := fmt.Sprintf(`{"return": %q, "id": %s}`+"\n"+beat, big, id)
		for len(line) > 0 { // torn at every place there is
			n := min(len(line), 100_003)
			p.say(line[:n])
			line = line[n:]
		}
	})
	require.NoError(t, m.Connect())
	events, err := m.Events(context.Background())
	require.NoError(t, err)
	for range 5 {
		var got string
		require.NoError(t, m.Execute(soon(t), "x", nil, &got))
		require.Equal(t, big, got)
	}
	require.NoError(t, m.Disconnect())
	n := 0
	for e := range events {
		require.Equal(t, "BEAT", e.Event)
		require.EqualValues(t, 5, e.Timestamp.Seconds)
		n++
	}
	require.GreaterOrEqual(t, n, 9) // the last one may be cut off by Disconnect
}

// Replies need not come in the order of the commands.
func TestOutOfOrder(t *testing.T) {
	var held []json.RawMessage
	m := serve(t, func(p peer, name string, id json.RawMessage) {
		held = append(held, id)
		if len(held) < 3 {
			return
		}
		for i := len(held) - 1; i >= 0; i-- {
			fmt.Fprintf(p, `{"return": %s, "id": %s}`+"\n", held[i], held[i])
		}
	})
	require.NoError(t, m.Connect())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			line, err := m.RunContext(soon(t), []byte(`{"execute": "x"}`))
			if err != nil {
				t.Error(err)
				return
			}
			var r struct{ Return, ID int }
			if err := json.Unmarshal(line, &r); err != nil || r.Return != r.ID {
				t.Errorf("%s: %v", line, err)
			}
		})
	}
	wg.Wait()
}

// Nobody drains the events; commands go on, and the newest events are there.
func TestUndrainedEvents(t *testing.T) {
	m := serve(t, func(p peer, name string, id json.RawMessage) {
		for i := range 2 * queue {
			p.say(fmt.Sprintf(`{"event": "E%d"}`+"\n", i))
		}
		ok(p, name, id)
	})
	require.NoError(t, m.Connect())
	lazy, err := m.Events(context.Background())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended, err := m.Events(ctx)
	require.NoError(t, err)
	cancel()
	require.NoError(t, m.Execute(soon(t), "x", nil, nil))
	require.Len(t, lazy, queue)
	require.Equal(t, fmt.Sprintf("E%d", queue), (<-lazy).Event)
	for range ended { // is closed
	}
	require.NoError(t, m.Disconnect())
	late, err := m.Events(context.Background())
	require.NoError(t, err)
	_, open := <-late
	require.False(t, open)
}

// A command whose context ends is given up; the next one works, also when
// the late reply comes first.
func TestContext(t *testing.T) {
	var late string
	m := serve(t, func(p peer, name string, id json.RawMessage) {
		if name == "slow" {
			late = fmt.Sprintf(`{"return": "late", "id": %s}`+"\n", id)
			return
		}
		p.say(late)
		ok(p, name, id)
	})
	require.NoError(t, m.Connect())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.Execute(ctx, "slow", nil, nil), context.DeadlineExceeded)
	var got struct{ Said string }
	require.NoError(t, m.Execute(soon(t), "fast", nil, &got))
	require.Equal(t, "fast", got.Said)
}

// QEMU has stopped reading: the writer is let go, and the torn command ends
// the connection, since nothing after it could be understood.
func TestStuckWrite(t *testing.T) {
	ours, theirs := net.Pipe()
	m := New(ours)
	defer theirs.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.WriteString(theirs, greeting)
		line, _ := bufio.NewReaderSize(theirs, 16).ReadString('\n') // reads ahead at most 16 bytes
		id := line[strings.Index(line, `"id":`)+5 : strings.LastIndex(line, "}")]
		fmt.Fprintf(theirs, `{"return": {}, "id": %s}`+"\n", id)
		_, _ = theirs.Read(make([]byte, 5)) // half of the next one
		cancel()                            // and not by a time: none of it may be written then
	}()
	require.NoError(t, m.Connect())
	require.ErrorIs(t, m.Execute(ctx, "x", nil, nil), context.Canceled)
	<-m.Done()
	require.ErrorIs(t, m.Execute(soon(t), "x", nil, nil), ErrClosed)
}

func TestEnds(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"closed", "", "QMP connection closed"},
		{"torn", `{"return"`, "inside a message"},
		{"garbage", "\x00\xff not JSON\n", "not as the protocol has it"},
		{"wrong types", `{"event": 5}` + "\n", "not as the protocol has it"},
		{"wrong event", `{"event": "X", "data": []}` + "\n", "not as the protocol has it"},
		{"endless", strings.Repeat("x", MaxLine+1), "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := serve(t, func(p peer, _ string, _ json.RawMessage) {
				_, _ = io.WriteString(p, test.text)
				p.Close()
			})
			require.NoError(t, m.Connect())
			require.ErrorContains(t, m.Execute(soon(t), "x", nil, nil), test.want)
			<-m.Done()
			require.ErrorContains(t, m.Err(), test.want)
		})
	}
}

func TestNoGreeting(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	m := New(ours)
	m.Timeout = 20 * time.Millisecond
	require.ErrorContains(t, m.Connect(), "greeting")
	require.NoError(t, m.Disconnect())
	require.ErrorIs(t, m.Execute(soon(t), "x", nil, nil), ErrClosed)
	require.NoError(t, New(theirs).Disconnect()) // never connected: does not hang
}

func TestLog(t *testing.T) {
	var text bytes.Buffer
	m := serve(t, func(p peer, name string, id json.RawMessage) {
		p.say(beat)
		fmt.Fprintf(p, `{"return": %q, "id": %s}`+"\n", strings.Repeat("x", longReply), id)
	})
	m.Log = &Log{W: &text, Start: time.Now()}
	require.NoError(t, m.Connect())
	require.NoError(t, m.Execute(soon(t), "x", nil, nil))
	require.NoError(t, m.Disconnect())
	var kinds []string
	for line := range strings.Lines(text.String()) {
		var r map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		_, err := time.Parse(time.RFC3339Nano, r["host"].(string))
		require.NoError(t, err)
		require.Contains(t, r, "offset_ns")
		for _, kind := range []string{"command", "reply", "event", "reply_bytes"} {
			if _, is := r[kind]; is {
				kinds = append(kinds, kind)
			}
		}
	}
	require.Equal(t, []string{"command", "reply", "command", "event", "reply_bytes"}, kinds)
}
