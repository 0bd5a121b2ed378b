// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cavaliergopher/grab/v3"
)

// download fetches a tarball, verified; a partial file is taken up where it was
// left. The caller holds the lock of what it is for, and removes its folder.
func (p *Provider) download(ctx context.Context, l listing) (string, error) {
	path := p.downloadPath(l)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", p.full(err)
	}
	sum, err := hex.DecodeString(l.sum)
	if err != nil {
		return "", err
	}
	req, err := grab.NewRequest(path, l.place)
	if err != nil {
		return "", err
	}
	req.IgnoreRemoteTime = true
	req.SetChecksum(sha256.New(), sum, true)
	client := &grab.Client{HTTPClient: p.client(), UserAgent: "switchyard"}
	resp := client.Do(req.WithContext(ctx))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.bytes(filepath.Base(path), resp.BytesComplete(), resp.Size())
			continue
		case <-resp.Done:
		}
		break
	}
	err = resp.Err()
	switch {
	case err == nil:
		p.bytes(filepath.Base(path), resp.BytesComplete(), resp.BytesComplete())
		return path, nil
	case errors.Is(err, grab.ErrBadChecksum), errors.Is(err, grab.ErrBadLength):
		os.Remove(path)
		return "", &InputError{l.place, "it came with another SHA-256 than the checksum file says: the site or a proxy is broken, or somebody changed it", err}
	case ctx.Err() != nil:
		return "", fmt.Errorf("fetch %s: %w; what came is kept", l.place, context.Cause(ctx))
	}
	var status grab.StatusCodeError
	if errors.As(err, &status) {
		return "", fmt.Errorf("fetch %s: the site answered %d", l.place, int(status))
	}
	if full := p.full(err); full != err {
		return "", full
	}
	return "", p.unreachable(ctx, l.place, err)
}

func (p *Provider) bytes(what string, done, total int64) {
	if p.Progress != nil {
		p.Progress(what, done, total)
	}
}
