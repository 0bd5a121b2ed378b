// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cavaliergopher/grab/v3"
)

// tries is how often a tarball is asked for before the site is given up.
const tries = 4

// errStalled says that a site holds the connection and sends nothing.
var errStalled = errors.New("no data came")

// download fetches a tarball, verified; a partial file is taken up where it was
// left, also after a fault of the network. The caller holds the lock of what it
// is for, and removes its folder.
func (p *Provider) download(ctx context.Context, l listing) (string, error) {
	path := p.downloadPath(l)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", p.full(err)
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Dir(path), now, now) // in use: what lies here for a week is removed
	for try := 1; ; try++ {
		resumed, err := p.downloadOnce(ctx, l, path)
		damaged := errors.Is(err, grab.ErrBadChecksum) || errors.Is(err, grab.ErrBadLength)
		if damaged {
			os.Remove(path)
		}
		var status grab.StatusCodeError
		switch {
		case err == nil:
			return path, nil
		case ctx.Err() != nil:
			return "", fmt.Errorf("fetch %s: %w; what came is kept", l.place, context.Cause(ctx))
		case damaged && resumed && try < tries:
			continue // what was here, from before a crash perhaps, is no piece of it
		case damaged:
			return "", &InputError{l.place, "it came with another SHA-256 than the checksum file says: the site or a proxy is broken, or somebody changed it", err}
		case errors.As(err, &status) && (status < 500 || try >= tries):
			return "", fmt.Errorf("fetch %s: the site answered %d", l.place, int(status))
		}
		if full := p.full(err); full != err || errors.Is(err, fs.ErrPermission) {
			return "", full
		}
		if try >= tries || neverConnected(err) {
			return "", p.unreachable(ctx, l.place, err)
		}
		select { // time for the site to recover
		case <-time.After(time.Duration(try) * p.patience() / 5):
		case <-ctx.Done():
		}
	}
}

// neverConnected says whether a site cannot be reached at all, which no second
// try mends.
func neverConnected(err error) bool {
	var op *net.OpError
	var name *net.DNSError
	return errors.As(err, &name) || (errors.As(err, &op) && op.Op != "read" && op.Op != "write")
}

// downloadOnce asks the site once; resumed says that it was for the rest of a
// file.
func (p *Provider) downloadOnce(ctx context.Context, l listing, path string) (resumed bool, err error) {
	sum, err := hex.DecodeString(l.sum)
	if err != nil {
		return false, err
	}
	req, err := grab.NewRequest(path, l.place)
	if err != nil {
		return false, err
	}
	req.IgnoreRemoteTime = true
	req.SetChecksum(sha256.New(), sum, true)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	client := &grab.Client{HTTPClient: p.client(), UserAgent: "switchyard"}
	resp := client.Do(req.WithContext(inner))
	stall := 12 * p.patience()
	tick := time.NewTicker(min(100*time.Millisecond, stall/4))
	defer tick.Stop()
	last, moved, stalled := int64(-1), time.Now(), false
	for {
		select {
		case <-tick.C:
			n := resp.BytesComplete()
			p.bytes(filepath.Base(path), n, resp.Size())
			switch {
			case n != last:
				last, moved = n, time.Now()
			case time.Since(moved) > stall:
				stalled = true
				cancel()
			}
			continue
		case <-resp.Done:
		}
		break
	}
	switch err := resp.Err(); {
	case err == nil:
		p.bytes(filepath.Base(path), resp.BytesComplete(), resp.BytesComplete())
		return resp.DidResume, nil
	case stalled:
		return resp.DidResume, fmt.Errorf("%w for %s", errStalled, stall)
	default:
		return resp.DidResume, err
	}
}

func (p *Provider) bytes(what string, done, total int64) {
	if p.Progress != nil {
		p.Progress(what, done, total)
	}
}
