// SPDX-License-Identifier: Apache-2.0

// Package channel is the protocol between host and guest over one byte
// stream (a virtio-serial port): calls, event streams and files, each on a
// yamux stream of its own.
//
// Both ends live here, and the request and response types they share. What
// the calls do in the guest does not (cmd/guestd), nor does anything that
// knows how the byte stream came about (vm).
//
// A guest is not trusted. Whatever it sends, the host neither blocks beyond
// its context, nor holds more memory than a fixed bound for each call, nor
// starts goroutines without bound: frames the protocol never uses end the
// session (frames.go), lines and files have limits, calls at once are limited.
package channel

import (
	"encoding/json"
	"hash/fnv"
)

// Protocol is the version of everything in this package. A host and a guest
// of different versions do not talk.
const Protocol = 1

// Hello is the first thing a guest says in a session.
type Hello struct {
	Protocol int    `json:"protocol"`
	Release  string `json:"release"` // uname -r
	Machine  string `json:"machine"` // uname -m
	// BootID is /proc/sys/kernel/random/boot_id; forks of one snapshot share it.
	BootID string `json:"boot_id"`
	// Session counts the sessions of this agent from 1.
	Session int `json:"session"`
	// Capabilities are what the agent found by looking: "livepatch",
	// "patch_state", "tracefs", "task_stack", … (cmd/guestd lists them).
	Capabilities map[string]bool `json:"capabilities"`
	// Config holds what the agent was told on the kernel's command line
	// ("switchyard.shell") and facts of the machine ("cpus", "memory_kib").
	Config map[string]string `json:"config,omitempty"`
	// UptimeNS is CLOCK_MONOTONIC of the guest in ns.
	UptimeNS int64 `json:"uptime_ns"`
	// Problems are things that went wrong while the guest came up and did not
	// keep the agent from serving: a module or mount that failed.
	Problems []string `json:"problems,omitempty"`
}

// Limits of what one end takes from the other.
const (
	// MaxLine bounds a line of JSON, in bytes.
	MaxLine  = 1 << 20
	maxHello = 64 << 10
	// MaxCalls bounds the calls and streams of one client at once; further
	// ones wait for their turn.
	MaxCalls = 64
	// maxStale bounds what the host skips before a session's preamble: what an
	// earlier session had in flight when its host went away.
	maxStale = 64 << 20
)

// A session begins with a preamble from the host, magic and nonce, and the
// guest's answer of the same bytes followed by its hello. It resynchronises
// the two whatever was in flight: after a fork of a snapshot, neither QEMU nor
// the guest tells that the host is another one, and half a frame of the
// session before may lie in a buffer.
const (
	magicSize    = 16
	preambleSize = magicSize + 16
)

// magic is computed, not written out, so that no file that travels through the
// channel (such as this program) holds it by nature. A hash that is no
// cipher's: crypto packages cost the agent 15 ms of every boot under TCG.
var magic = func() []byte {
	sum := fnv.New128a()
	sum.Write([]byte("switchyard channel, protocol 1"))
	return sum.Sum(make([]byte, 0, magicSize))
}()

// request is the first line of a stream, from the host.
type request struct {
	Method string          `json:"method"`
	In     json.RawMessage `json:"in,omitempty"`
}

// response is every line from the guest: events, then one line with Done.
type response struct {
	Event json.RawMessage `json:"event,omitempty"`
	Done  bool            `json:"done,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
	Error *RemoteError    `json:"error,omitempty"`
}
