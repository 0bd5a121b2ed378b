// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cavaliergopher/grab/v3"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/download"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// patience is how long the network may keep us waiting.
type patience struct {
	connect, header, stall time.Duration
	retryAfter             time.Duration
	tries                  int
}

var defaultPatience = patience{
	connect: 15 * time.Second, header: 30 * time.Second, stall: 60 * time.Second,
	retryAfter: time.Second, tries: 4,
}

// maxRelease bounds a release file, in bytes; sid's has 230 KB.
const maxRelease = 8 << 20

// remote is a file on a mirror whose size and checksum are known.
type remote struct {
	url    string
	name   string // for messages
	size   int64
	sha256 string
}

func (a *Archive) client() *http.Client {
	a.once.Do(func() {
		a.http = &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: a.patience.connect}).DialContext,
			TLSHandshakeTimeout:   a.patience.connect,
			ResponseHeaderTimeout: a.patience.header,
			MaxIdleConnsPerHost:   parallelDownloads,
		}}
	})
	return a.http
}

// small reads a short file into memory. ok is false if the mirror does not
// have it.
func (a *Archive) small(ctx context.Context, address string) (text []byte, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.patience.stall)
	defer cancel()
	for try := 1; ; try++ {
		text, ok, err = a.smallOnce(ctx, address)
		if err == nil || try >= a.patience.tries || ctx.Err() != nil || noConnection(err) {
			break
		}
		wait(ctx, a.patience.retryAfter)
	}
	if err != nil {
		return nil, false, a.explain(ctx, address, err)
	}
	return text, ok, nil
}

func (a *Archive) smallOnce(ctx context.Context, address string) ([]byte, bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, false, err
	}
	resp, err := a.client().Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, false, nil
	case resp.StatusCode != http.StatusOK:
		return nil, false, &refused{address, resp.Status}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRelease+1))
	if err == nil && len(text) > maxRelease {
		err = fmt.Errorf("it is longer than %d MiB", maxRelease>>20)
	}
	return text, err == nil, err
}

// refused is the error for a mirror, or a proxy before it, that is there and
// does not serve.
type refused struct{ address, status string }

func (r *refused) Error() string { return fmt.Sprintf("%s: the answer is %s", r.address, r.status) }

// download fetches f into the folder dir, verifies it, and gives its path.
// The caller removes it after use. A partial file is taken up where it was
// left, by this process or a later one. No two may fetch into one dir at once:
// callers hold the lock of what the file is for. got hears how many of its
// bytes are here.
func (a *Archive) download(ctx context.Context, f remote, dir string, got func(bytes int64)) (string, error) {
	path := filepath.Join(dir, f.sha256+".part")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", store.DiskFull(err, a.Store.Dir)
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // in use: what lies here for a week is removed
	var err error
	var damaged int
	for try := 1; ; try++ {
		err = a.downloadOnce(ctx, f, path, got)
		if err == nil {
			return path, nil
		}
		// What is on the disk is no piece of the file: begin again.
		if download.Damaged(err) {
			os.Remove(path)
			if damaged++; damaged > 2 {
				return "", fmt.Errorf("fetch %s: it came damaged %d times (%w) from %s: the mirror or a proxy is broken; choose another by %s",
					f.name, damaged, err, f.url, MirrorVariable)
			}
			continue
		}
		if try >= a.patience.tries || ctx.Err() != nil || !worthRetry(err) {
			return "", a.explain(ctx, f.url, fmt.Errorf("fetch %s: %w", f.name, err))
		}
		wait(ctx, a.patience.retryAfter*time.Duration(try))
	}
}

// slow is the error for a download that the deadline cut off.
type slow struct {
	done, total int64
	took        time.Duration
}

func (s *slow) Error() string {
	rate := float64(s.done) / 1e3 / max(s.took.Seconds(), 0.001)
	return fmt.Sprintf("time is up with %.1f of %.1f MB here, at %.0f kB/s: the network is too slow for the time there is; what came is kept, so run it again, or fetch first with `switchyard kernels get`, which has no deadline",
		float64(s.done)/1e6, float64(s.total)/1e6, rate)
}

func (a *Archive) downloadOnce(ctx context.Context, f remote, path string, got func(int64)) error {
	begin, here := time.Now(), int64(0)
	_, err := download.Request{
		URL: f.url, Path: path, SHA256: f.sha256, Size: f.size, Stall: a.patience.stall,
		Got: func(done, _ int64) { here = done; got(done) },
	}.Do(ctx, a.client())
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return &slow{here, f.size, time.Since(begin)}
	}
	return err
}

// worthRetry says whether the same request may succeed later.
func worthRetry(err error) bool {
	var status grab.StatusCodeError
	if errors.As(err, &status) {
		return status >= 500 || status == http.StatusTooManyRequests
	}
	return !noConnection(err) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) && !errors.Is(err, os.ErrPermission)
}

// noConnection says whether err means that the mirror could not be reached at
// all: the name has no address, nobody listens, no route.
func noConnection(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return true
	}
	var dns *net.DNSError
	return errors.As(err, &dns)
}

// explain turns an error of the network into one for people.
func (a *Archive) explain(ctx context.Context, address string, err error) error {
	var tooSlow *slow
	var netErr net.Error
	var status grab.StatusCodeError
	var no *refused
	switch {
	case errors.As(err, &tooSlow):
		return err
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return err
	case errors.As(err, &status) && status == http.StatusNotFound:
		return &Superseded{Address: address, Err: err}
	case noConnection(err), errors.Is(err, download.ErrStalled), errors.As(err, &netErr), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &no), errors.As(err, &status):
		host := address
		if u, perr := url.Parse(address); perr == nil {
			host = u.Host
		}
		return &kernels.Lacking{
			What:   "a working connection to the Debian archive at " + host,
			Remedy: fmt.Sprintf("check the network, set http_proxy if there is a proxy, or set %s to a mirror that can be reached (%s was used)", MirrorVariable, a.Mirror.Origin),
			Err:    err,
		}
	}
	return store.DiskFull(err, a.Store.Dir)
}

// Superseded is the error for a file that an index names and the mirror does not
// have. Mostly a newer version has taken its place since the index was read.
type Superseded struct {
	Address string
	Err     error
}

func (s *Superseded) Error() string {
	return fmt.Sprintf("%v from %s: the mirror lacks the file though its index names it, since a newer version took its place, or it is incomplete; run it again, which reads the index anew, or choose another mirror by %s",
		s.Err, s.Address, MirrorVariable)
}

func (s *Superseded) Unwrap() error { return s.Err }

// wait lets d pass, or less if ctx ends: time for a mirror to recover.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
