// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"pault.ag/go/debian/control"
)

// packagesFile is the index of the packages that we can run.
const packagesFile = "main/binary-amd64/Packages"

// release is what a verified release file says.
type release struct {
	codename   string
	date       time.Time
	validUntil time.Time // zero if it does not expire
	byHash     bool
	files      map[string]listed // by path below dists/SUITE/
}

// listed is a file that a release file lists.
type listed struct {
	sha256 string
	size   int64
}

// fetchRelease reads and verifies a suite's release file; ok is false if the
// mirror has no such suite.
func (a *Archive) fetchRelease(ctx context.Context, s Suite) (r *release, ok bool, err error) {
	address := a.Mirror.url(s.Part) + "/dists/" + s.Name + "/InRelease"
	text, ok, err := a.small(ctx, address)
	if err != nil || !ok {
		return nil, false, err
	}
	r, err = a.checkRelease(s, text)
	if err != nil {
		return nil, false, fmt.Errorf("release file %s: %w", address, err)
	}
	return r, true, nil
}

func (a *Archive) checkRelease(s Suite, text []byte) (*release, error) {
	now := a.Now()
	keys := a.Keys
	if keys == nil {
		var err error
		if keys, err = DebianKeys(); err != nil {
			return nil, err
		}
	}
	signed, err := verify(keys[s.Part], text, &packet.Config{Time: a.Now})
	if err != nil {
		return nil, err
	}
	r, err := parseRelease(signed)
	if err != nil {
		return nil, err
	}
	if r.codename != s.codename() {
		return nil, fmt.Errorf("it is that of %q and not of %q", r.codename, s.codename())
	}
	if !s.Moving && !r.validUntil.IsZero() && now.After(r.validUntil) {
		return nil, fmt.Errorf("it was valid until %s, and now is %s: the mirror is stale, or this machine's clock wrong; choose another mirror by %s",
			r.validUntil.Format(time.RFC1123), now.UTC().Format(time.RFC1123), MirrorVariable)
	}
	return r, nil
}

func parseRelease(signed []byte) (*release, error) {
	paragraphs, err := control.NewParagraphReader(bytes.NewReader(signed), nil)
	if err != nil {
		return nil, err
	}
	p, err := paragraphs.Next()
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	r := &release{
		codename: p.Values["Codename"],
		byHash:   p.Values["Acquire-By-Hash"] == "yes",
		files:    map[string]listed{},
	}
	if r.date, err = releaseTime(p.Values["Date"]); err != nil {
		return nil, err
	}
	if r.validUntil, err = releaseTime(p.Values["Valid-Until"]); err != nil {
		return nil, err
	}
	for line := range strings.Lines(p.Values["SHA256"]) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the size of %s: %w", fields[2], err)
		}
		r.files[fields[2]] = listed{fields[0], size}
	}
	return r, nil
}

// releaseTime reads a date as release files have it: "Sat, 21 Nov 2026
// 00:53:02 UTC".
func releaseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse("Mon, 2 Jan 2006 15:04:05 MST", text)
	if err != nil {
		return t, fmt.Errorf("its date %q: %w", text, err)
	}
	return t, nil
}

// packages gives where the index of packages is, in the smallest form that
// the suite offers.
func (r *release) packages(base string, s Suite) (f remote, suffix string, err error) {
	for _, suffix := range []string{".xz", ".gz", ""} {
		path := packagesFile + suffix
		l, ok := r.files[path]
		if !ok {
			continue
		}
		dir := base + "/dists/" + s.Name + "/"
		f := remote{url: dir + path, name: "package index of " + s.Name, size: l.size, sha256: l.sha256}
		if r.byHash {
			// Under this name a file never changes, so that a mirror that is
			// just being updated cannot give us half of each.
			f.url = dir + "main/binary-amd64/by-hash/SHA256/" + l.sha256
		}
		return f, suffix, nil
	}
	return remote{}, "", fmt.Errorf("suite %s lists no %s", s.Name, packagesFile)
}
