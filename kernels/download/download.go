// SPDX-License-Identifier: Apache-2.0

// Package download gets a file whose checksum is known from a server that may be
// slow, break off, or send something else.
//
// What lives here: one request, taken up where an earlier one ended, watched for
// a server that holds the connection and sends nothing. What must not: whom to
// ask, how often, and what to tell people, which depend on whose file it is.
package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cavaliergopher/grab/v3"
)

// ErrStalled says that a server holds the connection and sends nothing.
var ErrStalled = errors.New("no data came")

// Request is for a file.
type Request struct {
	URL    string
	Path   string // where it goes; what lies there is taken for its beginning
	SHA256 string // in hex
	Size   int64  // in bytes; 0 if unknown
	// Stall is how long nothing may come.
	Stall time.Duration
	// Got hears how many bytes are here, of how many; the latter is 0 or less
	// while nobody knows.
	Got func(done, total int64)
}

// Do asks once, and verifies what comes. resumed says that it asked for the rest
// of a file. Errors: ErrStalled; one for which Damaged says yes, after which the
// file at Path is no piece of what was asked for; the cause of ctx's end;
// grab.StatusCodeError for an answer that is none; those of the network and the
// disk.
func (r Request) Do(ctx context.Context, client *http.Client) (resumed bool, err error) {
	sum, err := hex.DecodeString(r.SHA256)
	if err != nil || len(sum) != sha256.Size {
		return false, fmt.Errorf("the index has no usable checksum: %q", r.SHA256)
	}
	req, err := grab.NewRequest(r.Path, r.URL)
	if err != nil {
		return false, err
	}
	req.Size = r.Size
	req.IgnoreRemoteTime = true
	req.SetChecksum(sha256.New(), sum, true)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	resp := (&grab.Client{HTTPClient: client, UserAgent: "switchyard"}).Do(req.WithContext(inner))
	stalled := r.watch(resp, cancel)
	n, total := resp.BytesComplete(), resp.Size()
	if err = resp.Err(); err == nil {
		total = n
	}
	r.Got(n, total)
	switch {
	case err == nil:
	case stalled:
		err = fmt.Errorf("%w for %s", ErrStalled, r.Stall)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return resp.DidResume, err
}

// watch waits for the answer's end, which give brings about if nothing comes.
func (r Request) watch(resp *grab.Response, give context.CancelFunc) (stalled bool) {
	tick := time.NewTicker(min(100*time.Millisecond, r.Stall/4))
	defer tick.Stop()
	last, moved := int64(-1), time.Now()
	for {
		select {
		case <-resp.Done:
			return stalled
		case <-tick.C:
		}
		if n := resp.BytesComplete(); n != last {
			last, moved = n, time.Now()
			r.Got(n, resp.Size())
		} else if time.Since(moved) > r.Stall {
			stalled = true
			give()
		}
	}
}

// Damaged says that what came is not what was asked for.
func Damaged(err error) bool {
	return errors.Is(err, grab.ErrBadChecksum) || errors.Is(err, grab.ErrBadLength)
}
