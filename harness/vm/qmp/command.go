// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	goqmp "github.com/digitalocean/go-qemu/qmp"
)

// Error is QEMU's refusal of a command.
type Error struct {
	Class string `json:"class"` // "GenericError", "CommandNotFound", …
	Desc  string `json:"desc"`  // for people
}

func (e *Error) Error() string { return e.Desc }

// Execute runs the command name with args (anything that encodes to a JSON
// object, or nil) and decodes what it returns into result, unless that is nil.
func (m *Monitor) Execute(ctx context.Context, name string, args, result any) error {
	command, err := json.Marshal(goqmp.Command{Execute: name, Args: args})
	if err != nil {
		return fmt.Errorf("QMP %s: %w", name, err)
	}
	line, err := m.RunContext(ctx, command)
	if err != nil {
		return fmt.Errorf("QMP %s: %w", name, err)
	}
	if result == nil {
		return nil
	}
	var msg message
	if err = json.Unmarshal(line, &msg); err == nil {
		err = json.Unmarshal(msg.Value, result)
	}
	if err != nil {
		return fmt.Errorf("QMP %s: what it returned: %w", name, err)
	}
	return nil
}

// Run is RunContext within Timeout.
func (m *Monitor) Run(command []byte) ([]byte, error) {
	ctx, cancel := m.timeout()
	defer cancel()
	return m.RunContext(ctx, command)
}

// RunContext sends command, a JSON object whose id (if any) is replaced, and
// gives the whole reply: `{"return": …, "id": …}`. A refusal is an *Error.
// When ctx ends first, the command may still be carried out; its reply is
// dropped.
func (m *Monitor) RunContext(ctx context.Context, command []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(command, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("a QMP command is a JSON object, not %s", cut(command, 80))
	}
	// One at a time on the wire: a command is written whole or not at all.
	select {
	case m.sending <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-m.done:
		return nil, m.Err()
	}
	id, answered, err := m.send(ctx, fields)
	<-m.sending
	if err != nil {
		return nil, err
	}
	select {
	case r := <-answered:
		return r.line, r.err
	case <-ctx.Done():
		m.mu.Lock()
		delete(m.pending, id)
		m.mu.Unlock()
		return nil, fmt.Errorf("no reply: %w", context.Cause(ctx))
	}
}

func (m *Monitor) send(ctx context.Context, fields map[string]json.RawMessage) (uint64, <-chan reply, error) {
	answered := make(chan reply, 1)
	m.mu.Lock()
	if m.err != nil {
		defer m.mu.Unlock()
		return 0, nil, m.err
	}
	m.lastID++
	id := m.lastID
	m.pending[id] = answered
	m.mu.Unlock()

	fields["id"], _ = json.Marshal(id)
	line, err := json.Marshal(fields)
	if err != nil {
		return 0, nil, err
	}
	m.Log.command(line)
	// A QEMU that has stopped reading must not hold the caller past ctx.
	struck := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = m.conn.SetWriteDeadline(time.Unix(1, 0))
		close(struck)
	})
	n, err := m.conn.Write(append(line, '\n'))
	if !stop() {
		<-struck // or it would hit the next command
		_ = m.conn.SetWriteDeadline(time.Time{})
	}
	if err == nil {
		return id, answered, nil
	}
	m.mu.Lock()
	delete(m.pending, id)
	m.mu.Unlock()
	if n > 0 {
		// Half a command is on the wire: nothing sent after it would be
		// understood.
		_ = m.conn.Close()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return 0, nil, fmt.Errorf("send to QEMU: %w", err)
}
