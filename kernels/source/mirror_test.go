// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

func TestKernelOrgKey(t *testing.T) {
	keys, err := KernelOrgKeys()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	assert.Equal(t, autosignerFingerprint, fmt.Sprintf("%x", keys[0].Fingerprint))
	assert.Equal(t, uint64(0x632d3a06589da6b1), keys[0].KeyId)
}

func signer(t *testing.T) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("signer", "", "signer@example.org", &packet.Config{RSABits: 2048, Algorithm: packet.PubKeyAlgoRSA})
	require.NoError(t, err)
	return e
}

func clearSigned(t *testing.T, by *openpgp.Entity, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, by.PrivateKey, nil)
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestSignedText(t *testing.T) {
	ours, other := signer(t), signer(t)
	keys := []*packet.PublicKey{ours.PrimaryKey}
	const text = "line one\nline two\n"
	good := clearSigned(t, ours, text)
	got, err := signedText(keys, append([]byte("what stands before\n"), good...))
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
	for want, file := range map[string][]byte{
		"not a signed checksum file": []byte("<html>Please log in</html>"),
		"signature is wrong":         bytes.Replace(good, []byte("line one"), []byte("line 0ne"), 1),
		"not of kernel.org's key":    clearSigned(t, other, text),
	} {
		_, err := signedText(keys, file)
		assert.ErrorContains(t, err, want)
	}
}

func FuzzSignedText(f *testing.F) {
	keys, err := KernelOrgKeys()
	require.NoError(f, err)
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nx\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if text, err := signedText(keys, file); err == nil {
			t.Errorf("nobody can sign %q with kernel.org's key", text)
		}
	})
}

func TestReleaseNames(t *testing.T) {
	for name, want := range map[string]string{
		"linux-6.6.3.tar.xz": "6.6.3", "linux-6.6.tar.xz": "6.6.0", "linux-7.3-rc7.tar.gz": "7.3.0-rc7", "linux-6.6.3.tar.sign": "",
		"linux-6.6.3.tar.xz.part": "", "patch-6.6.3.xz": "", "linux-next.tar.xz": "",
	} {
		assert.Equal(t, want, releaseOf(name), name)
	}
	assert.Negative(t, kernels.CompareVersions(sortable("7.3.0-rc7"), sortable("7.3.0")))
}

// site is kernel.org's release site, in small.
type site struct {
	*httptest.Server
	signer *openpgp.Entity
	asked  atomic.Int64
	files  map[string][]byte
}

func newSite(t *testing.T, tarballs map[string][]byte) *site {
	t.Helper()
	s := &site{signer: signer(t), files: map[string][]byte{}}
	var sums strings.Builder
	for name, content := range tarballs {
		s.files["/v6.x/"+name] = content
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	s.files["/v6.x/sha256sums.asc"] = clearSigned(t, s.signer, sums.String())
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		content, ok := s.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, r.URL.Path, time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) provider(t *testing.T) *Provider {
	t.Helper()
	st, err := store.Open(t.TempDir())
	require.NoError(t, err)
	return &Provider{Store: st, Releases: s.URL, Keys: []*packet.PublicKey{s.signer.PrimaryKey}, Patience: 5 * time.Second}
}

// shelf is a provider of kernels that somebody ships.
type shelf []kernels.Candidate

func (s shelf) Name() string                                                 { return "shelf" }
func (s shelf) List(context.Context) ([]kernels.Candidate, error)            { return s, nil }
func (s shelf) Get(context.Context, kernels.Candidate) (*kernels.Kit, error) { return nil, nil }

// kernel.org is asked when nobody else has the kernel, and only then.
func TestKernelOrgIsTheLastResort(t *testing.T) {
	s := newSite(t, map[string][]byte{"linux-6.6.9.tar.xz": {1}, "linux-6.6.10.tar.xz": {2}, "linux-6.6.10.tar.gz": {3}, "linux-6.7-rc1.tar.xz": {4}})
	p := s.provider(t)
	shipped := kernels.Candidate{Release: "6.1.0-56-cloud-amd64", Version: "6.1.192-2", Flavour: kernels.DefaultFlavour, Provider: "shelf"}
	cat := &kernels.Catalogue{Providers: []kernels.Provider{shelf{shipped}, p}}

	_, err := cat.List(t.Context())
	require.NoError(t, err)
	_, err = cat.Select(t.Context(), "6.1,lts")
	require.NoError(t, err)
	assert.Zero(t, s.asked.Load())

	found, err := cat.Select(t.Context(), "6.6")
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, "6.6.10", found[0].Release)
	assert.Equal(t, "source:"+s.URL+"/v6.x/linux-6.6.10.tar.xz", found[0].Source)

	_, err = cat.Select(t.Context(), "6.8")
	var no *kernels.NoMatchError
	require.ErrorAs(t, err, &no)
	_, err = cat.Select(t.Context(), "6.6+mine")
	require.ErrorAs(t, err, &no, "nobody but us has one of that name")

	s.files["/v6.x/sha256sums.asc"] = clearSigned(t, signer(t), "x")
	_, err = cat.Select(t.Context(), "6.6")
	require.ErrorAs(t, err, &no)
	assert.Contains(t, no.Error(), "its signature is not of kernel.org's key")
}

// A site that does not answer costs a little time, once, and is told as a note.
func TestSilentSite(t *testing.T) {
	quit := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-quit }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(quit) })
	s := newSite(t, nil)
	p := s.provider(t)
	p.Releases, p.Patience = silent.URL, 50*time.Millisecond
	cat := &kernels.Catalogue{Providers: []kernels.Provider{p}}
	_, err := cat.List(t.Context())
	require.NoError(t, err, "a list does not ask it")
	begin := time.Now()
	_, err = cat.Select(t.Context(), "6.6")
	assert.Less(t, time.Since(begin), 5*time.Second)
	var no *kernels.NoMatchError
	require.ErrorAs(t, err, &no)
	assert.Contains(t, no.Note, "kernel.org was asked")
}

func TestFetchedTarball(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "linux-6.6.99.tar.gz")
	pack(t, plant(t, nil), file)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	// The site's is an .xz by its name; tar looks at the content.
	s := newSite(t, map[string][]byte{"linux-6.6.99.tar.xz": content})
	p, _ := provider(t)
	p.Releases, p.Keys = s.URL, []*packet.PublicKey{s.signer.PrimaryKey}
	cat := &kernels.Catalogue{Providers: []kernels.Provider{p}}
	found, err := cat.Select(t.Context(), "6.6")
	require.NoError(t, err)

	s.files["/v6.x/linux-6.6.99.tar.xz"] = append([]byte("x"), content[1:]...)
	_, err = cat.Get(t.Context(), found[0])
	var bad *InputError
	require.ErrorAs(t, err, &bad)
	assert.Contains(t, err.Error(), "another SHA-256")

	s.files["/v6.x/linux-6.6.99.tar.xz"] = content
	kit, err := cat.Get(t.Context(), found[0])
	require.NoError(t, err)
	assert.Equal(t, "6.6.99", kit.Release)
	left, err := os.ReadDir(filepath.Join(p.Store.Dir, "downloads"))
	require.NoError(t, err)
	assert.Empty(t, left)

	s.Close()
	found, err = cat.Select(t.Context(), "6.6")
	require.NoError(t, err, "what is built needs no site")
	assert.True(t, found[0].Cached)
}

func TestMirror(t *testing.T) {
	s := newSite(t, map[string][]byte{"linux-6.6.9.tar.xz": {1}})
	for name, c := range map[string]struct {
		mirror string
		want   []string
		err    string
	}{
		"none":             {"", nil, ""},
		"site, signed":     {s.URL + "/v6.x/", []string{"6.6.9"}, ""},
		"site, no sums":    {s.URL, nil, "neither sha256sums.asc nor sha256sums.txt"},
		"site, away":       {"http://127.0.0.1:1", nil, "a working connection"},
		"no folder":        {"/nonexistent", nil, "SWITCHYARD_MIRROR=/nonexistent"},
		"folder":           {folder(t, map[string]string{"linux-6.6.3.tar.xz": "", "README.md": "", "linux-5.15.7.tar.xz": ""}), []string{"5.15.7", "6.6.3"}, ""},
		"folder, forged":   {folder(t, map[string]string{"linux-6.6.3.tar.xz": "", "sha256sums.asc": "forged"}), nil, "not a signed checksum file"},
		"folder, unsigned": {folder(t, map[string]string{"linux-6.6.3.tar.xz": "", "sha256sums.txt": "x"}), []string{"6.6.3"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.provider(t)
			p.Mirror = c.mirror
			found, err := p.List(t.Context())
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, f := range found {
				assert.True(t, f.FromSource)
				got = append(got, f.Release)
			}
			assert.ElementsMatch(t, c.want, got)
		})
	}
}

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}
