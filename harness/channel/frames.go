// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"
)

// muxConfig is yamux without what a slow, silent or hostile peer could trip
// over: no keep-alive (a guest under TCG may be stopped for minutes; package
// vm watches for silence), no log.
func muxConfig() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog:   MaxCalls,
		EnableKeepAlive: false,
		// Must be set even so, else VerifyConfig refuses.
		KeepAliveInterval: time.Hour,
		// A stopped guest takes nothing. Callers have contexts; this only
		// bounds how long an abandoned write may hang about.
		ConnectionWriteTimeout: 10 * time.Minute,
		MaxStreamWindowSize:    window,
		// How long a stream that the host closed waits for the guest's close.
		StreamCloseTimeout: time.Minute,
		Logger:             silence{},
	}
}

// window is yamux's smallest: what one stream can hold in memory.
const window = 256 << 10

// silence is a logger that does not even format.
type silence struct{}

func (silence) Print(...any)          {}
func (silence) Printf(string, ...any) {}
func (silence) Println(...any)        {}

// yamux's frame header: version, type, flags (2), stream (4), length (4);
// github.com/hashicorp/yamux/blob/master/spec.md.
const (
	headerSize   = 12
	typeData     = 0
	typeWindow   = 1
	typeGoAway   = 3
	flagSYN      = 1
	knownFlags   = 0xf
	frameVersion = 0
)

// frameError says that the guest sent a frame that a guest never sends.
type frameError struct{ what string }

func (e *frameError) Error() string { return "the guest broke the channel's framing: " + e.what }

// guard passes yamux frames from the guest through to yamux, up to the first
// one that a guest has no business sending. Without it yamux
// starts a goroutine for each ping, which live as long as the guest does not
// read the answers, and keeps streams that the guest opens and nobody accepts.
type guard struct {
	r       io.Reader
	header  [headerSize]byte
	have    int    // bytes of header
	payload uint32 // bytes of the current frame still to come
	err     error
}

func (g *guard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.r.Read(p)
	if good, bad := g.check(p[:n]); bad != nil {
		g.err = bad
		return good, bad
	}
	return n, err
}

// check advances over b; good bytes of it were in order.
func (g *guard) check(b []byte) (good int, err error) {
	for good < len(b) {
		if g.payload > 0 {
			n := min(int(g.payload), len(b)-good)
			g.payload -= uint32(n)
			good += n
			continue
		}
		n := copy(g.header[g.have:], b[good:])
		g.have += n
		if g.have == headerSize {
			g.have = 0
			if err := g.frame(); err != nil {
				return good, err
			}
		}
		good += n
	}
	return good, nil
}

// frame judges a whole header.
func (g *guard) frame() error {
	flags, length := binary.BigEndian.Uint16(g.header[2:]), binary.BigEndian.Uint32(g.header[8:])
	switch kind := g.header[1]; {
	case g.header[0] != frameVersion:
		return &frameError{fmt.Sprintf("version %d", g.header[0])}
	case flags&^knownFlags != 0:
		return &frameError{fmt.Sprintf("flags %#x", flags)}
	case flags&flagSYN != 0:
		return &frameError{"it opened a stream"}
	case kind == typeData && length > window:
		return &frameError{fmt.Sprintf("a frame of %d bytes, the window is %d", length, window)}
	case kind == typeData:
		g.payload = length
	case kind == typeWindow, kind == typeGoAway:
	default:
		return &frameError{fmt.Sprintf("frame of type %d", kind)}
	}
	return nil
}
