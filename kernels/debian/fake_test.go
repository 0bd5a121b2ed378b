// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// fake is a small Debian archive behind a web server, signed with a key of
// its own.
type fake struct {
	t      *testing.T
	key    *openpgp.Entity
	server *httptest.Server
	suite  Suite
	now    time.Time

	mu       sync.Mutex
	files    map[string][]byte // by URL path
	packages []string          // paragraphs
	requests []string          // method, path, range
	// tamper, if set, may answer a GET instead.
	tamper func(w http.ResponseWriter, r *http.Request) bool

	// What the release file says.
	validUntil string
	codename   string
	noHash     bool
}

func newFake(t *testing.T) *fake {
	t.Helper()
	now := time.Now()
	key, err := openpgp.NewEntity("Test Archive", "", "test@example.org",
		&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return now }})
	require.NoError(t, err)
	f := &fake{t: t, key: key, files: map[string][]byte{}, now: now, codename: "trixie",
		suite: Suite{Name: "trixie", Part: archivePart, Native: "6.12", Tools: true}}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		f.server.CloseClientConnections() // handlers that hang wait for that
		f.server.Close()
	})
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	data, ok := f.files[r.URL.Path]
	tamper := f.tamper
	f.mu.Unlock()
	if tamper != nil && r.Method == http.MethodGet && tamper(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func (f *fake) setTamper(tamper func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tamper = tamper
}

// asked gives the requests since the last call.
func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.requests
	f.requests = nil
	return all
}

// archive reads the fake with an empty cache and little patience.
func (f *fake) archive() *Archive {
	f.t.Helper()
	st, err := store.Open(f.t.TempDir())
	require.NoError(f.t, err)
	return f.archiveIn(st)
}

func (f *fake) archiveIn(st *store.Store) *Archive {
	return &Archive{
		Store: st, Mirror: Mirror{f.server.URL + "/debian", f.server.URL + "/debian-security", "a test"},
		Suites: []Suite{f.suite}, Keys: Keyring{archivePart: {f.key}}, Now: func() time.Time { return f.now },
		patience: patience{connect: time.Second, header: 2 * time.Second, stall: 400 * time.Millisecond, retryAfter: time.Millisecond, tries: 3},
	}
}

// add puts a package into the archive; fields are lines of its paragraph.
func (f *fake) add(name, version string, deb []byte, fields ...string) Package {
	sum := sha256.Sum256(deb)
	p := Package{Name: name, Version: version, Suite: f.suite.Name, Size: int64(len(deb)), SHA256: hex.EncodeToString(sum[:]),
		Filename: fmt.Sprintf("pool/main/%s_%s_amd64.deb", name, version)}
	f.files["/debian/"+p.Filename] = deb
	lines := append([]string{"Package: " + name, "Version: " + version, "Filename: " + p.Filename, fmt.Sprintf("Size: %d", p.Size), "SHA256: " + p.SHA256}, fields...)
	f.packages = append(f.packages, strings.Join(lines, "\n")+"\n")
	return p
}

// publish writes and signs the indexes.
func (f *fake) publish() {
	f.t.Helper()
	index := packXZ(f.t, []byte(strings.Join(f.packages, "\n")))
	sum := sha256.Sum256(index)
	hash := hex.EncodeToString(sum[:])
	text := fmt.Sprintf("Origin: Test\nCodename: %s\nDate: %s\n", f.codename, f.now.UTC().Format(time.RFC1123))
	if f.validUntil != "" {
		text += "Valid-Until: " + f.validUntil + "\n"
	}
	if !f.noHash {
		text += "Acquire-By-Hash: yes\n"
	}
	text += fmt.Sprintf("SHA256:\n %s %8d main/binary-amd64/Packages.xz\n %s 12 main/source/Sources.xz\n", hash, len(index), hash)
	dir := "/debian/dists/" + f.suite.Name + "/"
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[dir+"main/binary-amd64/Packages.xz"] = index
	f.files[dir+"main/binary-amd64/by-hash/SHA256/"+hash] = index
	f.files[dir+"InRelease"] = f.sign([]byte(text))
}

func (f *fake) sign(text []byte) []byte {
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, f.key.PrivateKey, &packet.Config{Time: func() time.Time { return f.now }})
	require.NoError(f.t, err)
	_, err = w.Write(text)
	require.NoError(f.t, err)
	require.NoError(f.t, w.Close())
	return b.Bytes()
}

func packXZ(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// member is a file in a package.
type member struct {
	name    string
	content string // of a regular file
	mode    int64
	kind    byte   // 0: regular
	link    string // target
}

// newDeb makes a .deb file with data.tar packed as suffix says.
func newDeb(t *testing.T, suffix string, members ...member) []byte {
	t.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: m.mode, Typeflag: m.kind, Linkname: m.link, Size: int64(len(m.content)), ModTime: time.Unix(1700000000, 0)}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(m.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	packed := data.Bytes()
	switch suffix {
	case ".xz":
		packed = packXZ(t, packed)
	case ".gz":
		var b bytes.Buffer
		g := gzip.NewWriter(&b)
		_, err := g.Write(packed)
		require.NoError(t, err)
		require.NoError(t, g.Close())
		packed = b.Bytes()
	}
	var ar bytes.Buffer
	ar.WriteString("!<arch>\n")
	for _, file := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"data.tar" + suffix, packed}} {
		fmt.Fprintf(&ar, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", file.name, 0, 0, 0, "100644", len(file.data))
		ar.Write(file.data)
		if len(file.data)%2 == 1 {
			ar.WriteByte('\n')
		}
	}
	return ar.Bytes()
}
