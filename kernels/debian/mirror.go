// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pault.ag/go/debian/control"
)

// MirrorVariable is the environment variable that names the mirror: the URL
// of its debian folder.
const MirrorVariable = "SWITCHYARD_DEBIAN_MIRROR"

// Mirror is where the archive is read from.
type Mirror struct {
	// Archive and Security are the URLs of the two parts, without a slash at
	// the end.
	Archive, Security string
	// Origin says where this was found, for messages: "$SWITCHYARD_DEBIAN_MIRROR".
	Origin string
}

// DefaultMirror is Debian's own, a content delivery network.
var DefaultMirror = Mirror{
	Archive:  "http://deb.debian.org/debian",
	Security: "http://deb.debian.org/debian-security",
	Origin:   "the default mirror",
}

func (m Mirror) url(p part) string {
	if p == securityPart {
		return m.Security
	}
	return m.Archive
}

// FindMirror is what $SWITCHYARD_DEBIAN_MIRROR says, else what this host's apt
// uses if the host is a Debian, else DefaultMirror.
func FindMirror() (Mirror, error) {
	if text := os.Getenv(MirrorVariable); text != "" {
		return mirrorAt(text, "$"+MirrorVariable)
	}
	if m, ok := hostMirror("/"); ok {
		return m, nil
	}
	return DefaultMirror, nil
}

// mirrorAt is the mirror whose debian folder has the URL text; the security
// part lies beside it.
func mirrorAt(text, origin string) (Mirror, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return Mirror{}, fmt.Errorf("%s is %q, which is no mirror: give the URL of its debian folder, as %s", origin, text, DefaultMirror.Archive)
	}
	base := strings.TrimRight(text, "/")
	return Mirror{Archive: base, Security: base + "-security", Origin: origin}, nil
}

// hostMirror reads apt's configuration below root.
func hostMirror(root string) (Mirror, bool) {
	release, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if err != nil || !slices.Contains(strings.Split(string(release), "\n"), "ID=debian") {
		return Mirror{}, false
	}
	var lines, sources []string
	for _, pattern := range []string{"etc/apt/sources.list", "etc/apt/sources.list.d/*.list"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		lines = append(lines, found...)
	}
	sources, _ = filepath.Glob(filepath.Join(root, "etc/apt/sources.list.d/*.sources"))
	var urls []string
	for _, path := range lines {
		urls = append(urls, oneLineURLs(path)...)
	}
	for _, path := range sources {
		urls = append(urls, deb822URLs(path)...)
	}
	m := Mirror{Origin: "the mirror of this host's apt"}
	for _, u := range urls {
		u = strings.TrimRight(u, "/")
		switch {
		case !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://"):
		case strings.HasSuffix(u, "/debian-security") && m.Security == "":
			m.Security = u
		case strings.HasSuffix(u, "/debian") && m.Archive == "":
			m.Archive = u
		}
	}
	if m.Archive == "" {
		return Mirror{}, false
	}
	if m.Security == "" {
		m.Security = DefaultMirror.Security
	}
	return m, true
}

// oneLineURLs are the URLs in a file of lines "deb [options] URL suite …".
func oneLineURLs(path string) (urls []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		rest, ok := strings.CutPrefix(line, "deb ")
		if !ok {
			continue
		}
		if _, behind, ok := strings.Cut(rest, "]"); ok {
			rest = behind
		}
		if fields := strings.Fields(rest); len(fields) > 1 {
			urls = append(urls, fields[0])
		}
	}
	return urls
}

// deb822URLs are the URLs in a file of paragraphs with URIs fields.
func deb822URLs(path string) (urls []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	r, err := control.NewParagraphReader(f, nil)
	if err != nil {
		return nil
	}
	for {
		p, err := r.Next()
		if err != nil {
			return urls
		}
		types := strings.Fields(p.Values["Types"])
		if slices.Contains(types, "deb") && p.Values["Enabled"] != "no" {
			urls = append(urls, strings.Fields(p.Values["URIs"])...)
		}
	}
}
