// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// TestDownloadOutlivesFaults: what a network does to a file of a hundred
// megabytes is no reason to begin again by hand, and a site that stays away is
// given up.
func TestDownloadOutlivesFaults(t *testing.T) {
	content := make([]byte, 200000)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	sum := sha256.Sum256(content)
	// half sends a half, and of a rest that it is asked for nothing.
	half := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", "200000")
			_, _ = w.Write(content[:100000])
		} else {
			w.Header().Set("Content-Length", "100000")
			w.Header().Set("Content-Range", "bytes 100000-199999/200000")
			w.WriteHeader(http.StatusPartialContent)
		}
		w.(http.Flusher).Flush()
	}
	cutOff := func(w http.ResponseWriter, r *http.Request) { half(w, r); panic(http.ErrAbortHandler) }
	stall := func(w http.ResponseWriter, r *http.Request) { half(w, r); <-r.Context().Done() }
	busy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	for name, c := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request)
		times int32  // how often
		here  []byte // a part that is here already
		want  string // of the error, "" for none
		// patience decides how long a stall is waited for, and the breaks.
		patience time.Duration
	}{
		"cut off":            {cutOff, 1, nil, "", time.Second / 2},
		"stalled":            {stall, 1, nil, "", time.Second / 10},
		"busy":               {busy, 2, nil, "", time.Second / 2},
		"part, damaged":      {busy, 0, []byte("not of it"), "", time.Second / 2},
		"stalled for ever":   {stall, 1 << 20, nil, "no data came", time.Second / 10},
		"busy for ever":      {busy, 1 << 20, nil, "answered 503", time.Second / 2},
		"cut off every time": {cutOff, 1 << 20, nil, "a working connection", time.Second / 2},
	} {
		t.Run(name, func(t *testing.T) {
			var gets atomic.Int32
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && gets.Add(1) <= c.times {
					c.fault(w, r)
					return
				}
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
			}))
			t.Cleanup(func() { site.CloseClientConnections(); site.Close() })
			st, err := store.Open(t.TempDir())
			require.NoError(t, err)
			p := &Provider{Store: st, Patience: c.patience}
			l := listing{version: "6.6.9", place: site.URL + "/linux-6.6.9.tar.xz", sum: hex.EncodeToString(sum[:])}
			if c.here != nil {
				require.NoError(t, os.MkdirAll(filepath.Dir(p.downloadPath(l)), 0o755))
				require.NoError(t, os.WriteFile(p.downloadPath(l), c.here, 0o644))
			}
			path, err := p.download(t.Context(), l)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				assert.LessOrEqual(t, gets.Load(), int32(2*tries))
				assert.Equal(t, c.want != "answered 503", kernels.IsLacking(err))
				return
			}
			require.NoError(t, err)
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, content, got)
		})
	}
}
