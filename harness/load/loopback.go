// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

var loopback = Load{
	Name: "loopback",
	What: "N TCP connections and N UDP sockets over lo echo blocks of 1 to 4096 bytes and check each byte",
	N:    2,
	Touches: []Touch{
		{Pattern: "vmlinux:tcp_*"}, {Pattern: "vmlinux:udp_*"}, {Pattern: "vmlinux:ip_*"}, {Pattern: "vmlinux:inet_*"},
		{Pattern: "vmlinux:sock_*"}, {Pattern: "vmlinux:*skb*"}, {Pattern: "vmlinux:loopback_*"}, {Pattern: "vmlinux:*napi*"},
	},
	Body: echoOverLoopback,
}

// echoPatience is far above what any stop of the guest should cost, and
// turns a datagram that vanished into a wrong result.
const echoPatience = 30 * time.Second

func echoOverLoopback(ctx context.Context, c *Counter, s Spec) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("%w; is lo up?", err)
	}
	defer listener.Close()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer packets.Close()
	go serveTCP(listener)
	go serveUDP(packets)
	return workers(ctx, 2*s.N, func(ctx context.Context, i int) error {
		network, address := "tcp4", listener.Addr().String()
		if i%2 == 1 {
			network, address = "udp4", packets.LocalAddr().String()
		}
		conn, err := net.Dial(network, address)
		if err != nil {
			return err
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
		echo(ctx, c, conn, network, uint64(i)<<32)
		return nil
	})
}

func serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			// A buffer of our own: io.Copy would splice, and the bytes would
			// never be copied.
			_, _ = io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}, make([]byte, 4096))
		}()
	}
}

func serveUDP(p net.PacketConn) {
	buf := make([]byte, 8192)
	for {
		n, from, err := p.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = p.WriteTo(buf[:n], from)
	}
}

// echo sends one block after the other and compares what comes back.
func echo(ctx context.Context, c *Counter, conn net.Conn, network string, serial uint64) {
	got := make([]byte, 8192)
	for turn := uint64(0); ctx.Err() == nil; turn++ {
		want := block(serial + turn)
		_ = conn.SetReadDeadline(time.Now().Add(echoPatience))
		if ctx.Err() != nil {
			return // or our deadline would undo that of the end
		}
		began := time.Now()
		n, err := exchange(conn, network, want, got)
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.Wrong("%s over lo: %v", network, err)
			if network == "tcp4" || !errors.Is(err, os.ErrDeadlineExceeded) {
				return // out of step
			}
		case !bytes.Equal(got[:n], want):
			c.Wrong("%s over lo: %d bytes came back other than they went (%d)", network, n, len(want))
			return
		default:
			c.Op(took)
		}
		yield()
	}
}

func exchange(conn net.Conn, network string, want, got []byte) (int, error) {
	if _, err := conn.Write(want); err != nil {
		return 0, err
	}
	if network == "udp4" {
		return conn.Read(got)
	}
	return io.ReadFull(conn, got[:len(want)])
}

// block is the content of one turn: 1 to 4096 bytes that depend on all of
// serial (xorshift64*).
func block(serial uint64) []byte {
	x := serial*2 + 1
	b := make([]byte, 0, 4096+8)
	size := 1 + int(serial*2654435761%4096)
	for len(b) < size {
		x ^= x >> 12
		x ^= x << 25
		x ^= x >> 27
		b = binary.LittleEndian.AppendUint64(b, x*2685821657736338717)
	}
	return b[:size]
}
