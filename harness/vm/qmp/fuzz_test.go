// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzMonitor has QEMU say anything, cut anywhere, while commands run and an
// undrained subscriber looks on. Whatever it says: no panic, nobody is left
// hanging, and every goroutine ends.
func FuzzMonitor(f *testing.F) {
	for _, seed := range []string{
		greeting,
		greeting + `{"return": {}, "id": 1}` + "\n" + beat + `{"return": 1, "id": 2}` + "\n",
		greeting + `{"error": {"class": "x", "desc": "y"}}` + "\n",
		greeting + greeting + "{}\n[]\nnull\n",
		greeting + `{"return": {}, "id": 99999999999999999999999}` + "\n",
		greeting + `{"return": {}, "id": {"a": 1}}` + "\n" + `{"event": "E", "data": null}` + "\n",
		`{"return": {}, "id": 1}` + "\n" + greeting,
		"\n\n\x00\xff{",
		`{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}, "timestamp": {"seconds": -1}}` + "\n",
	} {
		f.Add([]byte(seed), uint16(7))
	}
	f.Fuzz(func(t *testing.T, said []byte, size uint16) {
		ours, theirs := net.Pipe()
		m := New(ours)
		_, err := m.Events(context.Background()) // never drained
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		wg.Go(func() {
			defer theirs.Close()
			for len(said) > 0 {
				n := min(len(said), int(size)+1)
				if _, err := theirs.Write(said[:n]); err != nil {
					return
				}
				said = said[n:]
			}
		})
		if _, err := m.ConnectContext(ctx); err == nil {
			for range 3 {
				wg.Go(func() { _, _ = m.RunContext(ctx, []byte(`{"execute": "x"}`)) })
			}
		}
		wg.Wait() // hangs if a command does
		require.NoError(t, ctx.Err(), "somebody waited for the time-out")
		<-m.Done()
		_ = m.Disconnect()
		require.Error(t, m.Err())
		require.Empty(t, m.pending)
		require.Empty(t, m.subs)
	})
}
