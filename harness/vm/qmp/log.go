// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// longReply is the size in bytes from which a reply is logged as its size.
const longReply = 4 << 10

// Log writes what is said on a connection, one JSON object a line:
//
//	{"host":"2024-05-01T10:00:00.000000001Z","offset_ns":12345,"event":{…}}
//
// with "event", "command" or "reply" (for long ones "reply_bytes"). host is the
// host's wall clock, offset_ns its monotonic clock since Start. A nil Log
// writes nothing.
type Log struct {
	W     io.Writer
	Start time.Time // with a monotonic reading

	mu sync.Mutex
}

type record struct {
	Host       time.Time       `json:"host"`
	OffsetNS   int64           `json:"offset_ns"`
	Event      json.RawMessage `json:"event,omitempty"`
	Command    json.RawMessage `json:"command,omitempty"`
	Reply      json.RawMessage `json:"reply,omitempty"`
	ReplyBytes int             `json:"reply_bytes,omitempty"`
}

func (l *Log) event(line []byte)   { l.write(record{Event: line}) }
func (l *Log) command(line []byte) { l.write(record{Command: line}) }

func (l *Log) reply(line []byte) {
	if len(line) > longReply {
		l.write(record{ReplyBytes: len(line)})
	} else {
		l.write(record{Reply: line})
	}
}

func (l *Log) write(r record) {
	if l == nil || l.W == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	r.Host, r.OffsetNS = now.UTC(), now.Sub(l.Start).Nanoseconds()
	if line, err := json.Marshal(r); err == nil {
		_, _ = l.W.Write(append(line, '\n')) // evidence only: a full disk must not stop the machine
	}
}
