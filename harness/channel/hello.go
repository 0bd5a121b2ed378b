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
	"encoding/binary"
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
	// "patch_state", "tracefs", "task_stack", … (cmd/guestd lists them). A fork
	// does not say again what it said before it was saved, here and in Config.
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

// A session begins with a preamble from the host, magic and greeting, and the
// guest's answer of the same bytes followed by its hello. It resynchronises
// the two whatever was in flight: after a fork of a snapshot, neither QEMU nor
// the guest tells that the host is another one, and half a frame of the
// session before may lie in a buffer.
const (
	magicSize    = 16
	preambleSize = magicSize + 16 + 8
)

// Greeting is what the host says at the beginning of a session. It is part of
// the preamble because a fork's first answer is waited for, and a call of its
// own costs 20 to 60 ms in a guest whose code an emulator has yet to translate.
type Greeting struct {
	// Nonce tells sessions apart. To a fork it is also entropy for the random
	// number generator, from which forks of one snapshot would draw the same
	// numbers.
	Nonce [16]byte
	// Wall is the host's wall clock in ns since 1970 for a guest that is a fork
	// from now on, whose own is the snapshot's; 0 for one that goes on.
	// CLOCK_MONOTONIC goes on either way. Below 0 the guest is about to be
	// saved: it ends the session before, and begins none.
	Wall int64
}

// Parking says that the guest is about to be saved.
func (g Greeting) Parking() bool { return g.Wall < 0 }

func (g Greeting) preamble() []byte {
	b := append(make([]byte, 0, preambleSize), magic...)
	b = append(b, g.Nonce[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(g.Wall))
}

func readGreeting(preamble []byte) (g Greeting) {
	rest := preamble[magicSize:]
	copy(g.Nonce[:], rest)
	g.Wall = int64(binary.LittleEndian.Uint64(rest[len(g.Nonce):]))
	return g
}

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
