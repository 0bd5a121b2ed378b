// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/cavaliergopher/grab/v3"

	"github.com/switchyard-project/switchyard/kernels/download"
)

// tries is how often a tarball is asked for before the site is given up.
const tries = 4

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
		resumed, err := download.Request{
			URL: l.place, Path: path, SHA256: l.sum, Stall: 12 * p.patience(),
			Got: func(done, total int64) { p.bytes(filepath.Base(path), done, total) },
		}.Do(ctx, p.client())
		damaged := download.Damaged(err)
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

func (p *Provider) bytes(what string, done, total int64) {
	if p.Progress != nil {
		p.Progress(what, done, total)
	}
}
