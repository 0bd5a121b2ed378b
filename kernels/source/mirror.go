// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// MirrorVariable is the environment variable with the folder or URL of release
// tarballs: files called linux-X.Y.Z.tar.xz, with kernel.org's sha256sums.asc
// or a sha256sums.txt beside them. A URL must have one of these, since it lists
// what is there; in a folder it may be missing.
const MirrorVariable = "SWITCHYARD_MIRROR"

// KernelOrg is the release site.
const KernelOrg = "https://cdn.kernel.org/pub/linux/kernel"

// maxSums bounds a checksum file, in bytes; kernel.org's biggest has 1 MB.
const maxSums = 16 << 20

// patience is how long a site may take to answer before it is done without.
const patience = 5 * time.Second

// listing is one tarball of a mirror.
type listing struct {
	version string // "6.6.3"
	place   string // path or URL
	sum     string // SHA-256, "" if nobody says
	size    int64  // 0 if not known
}

func (l listing) candidate() kernels.Candidate {
	return kernels.Candidate{
		Release: l.version, Version: sortable(l.version), Source: ProviderName + ":" + l.place, Flavour: kernels.SourceFlavour,
		Bytes: l.size, HasHeaders: true, FromSource: true, Provider: ProviderName,
	}
}

func isURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

// mirrored lists the tarballs of the mirror, if there is one.
func (p *Provider) mirrored(ctx context.Context) ([]listing, error) {
	switch {
	case p.Mirror == "":
		return nil, nil
	case isURL(p.Mirror):
		return p.listSite(ctx, strings.TrimSuffix(p.Mirror, "/"), false)
	}
	return p.listFolder(p.Mirror)
}

func (p *Provider) listFolder(dir string) ([]listing, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", MirrorVariable, dir, err)
	}
	sums, err := p.folderSums(dir)
	if err != nil {
		return nil, err
	}
	var all []listing
	for _, f := range files {
		version := releaseOf(f.Name())
		if version == "" {
			continue
		}
		l := listing{version: version, place: filepath.Join(dir, f.Name()), sum: sums[f.Name()]}
		if info, err := os.Stat(l.place); err == nil {
			l.size = info.Size()
		}
		all = append(all, l)
	}
	return all, nil
}

// folderSums are the checksums that lie in a folder of tarballs, by file.
func (p *Provider) folderSums(dir string) (map[string]string, error) {
	for _, name := range []string{"sha256sums.asc", "sha256sums.txt"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", MirrorVariable, dir, err)
		}
		return p.readSums(filepath.Join(dir, name), text, false)
	}
	return nil, nil
}

// readSums reads a checksum file. A signature that is there must be right.
func (p *Provider) readSums(what string, text []byte, mustBeSigned bool) (map[string]string, error) {
	if mustBeSigned || strings.HasSuffix(what, ".asc") {
		signed, err := signedText(p.Keys, text)
		if err != nil {
			return nil, &InputError{what, err.Error(), err}
		}
		text = signed
	}
	return parseSums(text), nil
}

// listSite lists the tarballs of a folder of a site by its checksum file.
func (p *Provider) listSite(ctx context.Context, base string, mustBeSigned bool) ([]listing, error) {
	names := []string{"sha256sums.asc", "sha256sums.txt"}
	if mustBeSigned {
		names = names[:1]
	}
	for _, name := range names {
		text, err := p.get(ctx, base+"/"+name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sums, err := p.readSums(base+"/"+name, text, mustBeSigned)
		if err != nil {
			return nil, err
		}
		var all []listing
		seen := map[string]bool{}
		for _, file := range slices.Sorted(maps(sums)) {
			version := releaseOf(file)
			// One release comes packed in several ways; .tar.xz sorts last.
			if version == "" || seen[version] || !strings.HasSuffix(file, ".xz") {
				continue
			}
			seen[version] = true
			all = append(all, listing{version: version, place: base + "/" + file, sum: sums[file]})
		}
		return all, nil
	}
	return nil, &InputError{base, "it has neither sha256sums.asc nor sha256sums.txt, so it cannot be told what is there", nil}
}

// maps gives the keys of a map.
func maps(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// get reads a short file of a site, which must answer soon.
func (p *Provider) get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 4*p.patience(), errors.New("it did not answer in time"))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.client().Do(req)
	if err != nil {
		return nil, p.unreachable(ctx, address, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", address, fs.ErrNotExist)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: the site answered %s", address, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSums))
	if err != nil {
		return nil, p.unreachable(ctx, address, err)
	}
	return text, nil
}

func (p *Provider) unreachable(ctx context.Context, address string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	// Of Get "https://…": dial tcp: … the end is what a person needs.
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	host := address
	if u, parseErr := url.Parse(address); parseErr == nil {
		host = u.Host
	}
	return &kernels.Lacking{
		What:   "a working connection to " + host,
		Remedy: "check the network, or set https_proxy if there is a proxy",
		Err:    err,
	}
}

func (p *Provider) patience() time.Duration {
	if p.Patience > 0 {
		return p.Patience
	}
	return patience
}

func (p *Provider) client() *http.Client {
	p.once.Do(func() {
		p.http = &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: p.patience()}).DialContext,
			TLSHandshakeTimeout:   p.patience(),
			ResponseHeaderTimeout: p.patience(),
		}}
	})
	return p.http
}

// listed is the origin of a tarball of a mirror, fetched when it is needed.
func (p *Provider) listed(l listing) (*origin, error) {
	if !isURL(l.place) {
		return p.tarball(l.place, l.sum)
	}
	if l.sum == "" {
		return nil, &InputError{l.place, "nobody says its checksum", nil}
	}
	o := &origin{title: filepath.Base(l.place), place: l.place, version: l.version, hash: l.sum, release: true, fill: p.unpack}
	o.fetch = func(ctx context.Context) (string, error) { return p.download(ctx, l) }
	return o, nil
}

// downloadPath is where the tarball of a site is kept until it is unpacked.
func (p *Provider) downloadPath(l listing) string {
	return filepath.Join(p.Store.Dir, "downloads", "source-"+l.sum[:12], filepath.Base(l.place))
}

// findListing finds the tarball of exactly this version, or, for a prefix, the
// newest: in the mirror, then at kernel.org.
func (p *Provider) findListing(ctx context.Context, version string) (listing, error) {
	found, err := p.mirrored(ctx)
	if l, ok := newestOf(found, version); ok {
		return l, nil
	}
	far, farErr := p.kernelOrg(ctx, version)
	if l, ok := newestOf(far, version); ok {
		return l, nil
	}
	if farErr != nil {
		err = farErr
	}
	where := "at kernel.org"
	if p.Mirror != "" {
		where = "in " + p.Mirror + " or " + where
	}
	reason := fmt.Sprintf("no release tarball of it is %s; give one by -tarball, a tree by -tree, or a folder of tarballs by %s", where, MirrorVariable)
	if err != nil {
		reason += fmt.Sprintf(" (%v)", err)
	}
	return listing{}, &InputError{"kernel " + version, reason, err}
}

func newestOf(all []listing, version string) (newest listing, ok bool) {
	for _, l := range all {
		if matches(version, l.version) && (!ok || kernels.CompareVersions(sortable(l.version), sortable(newest.version)) > 0) {
			newest, ok = l, true
		}
	}
	return newest, ok
}

// matches says whether version begins with prefix, at the end of a number.
func matches(prefix, version string) bool {
	rest, ok := strings.CutPrefix(version, prefix)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '-')
}

// kernelOrg lists the releases of a version's major series, "6" of "6.6".
func (p *Provider) kernelOrg(ctx context.Context, version string) ([]listing, error) {
	major, _, _ := strings.Cut(version, ".")
	if major == "" || strings.Trim(major, "0123456789") != "" {
		return nil, nil
	}
	return p.listSite(ctx, p.Releases+"/v"+major+".x", true)
}

func (p *Provider) full(err error) error { return store.DiskFull(err, p.Store.Dir) }
