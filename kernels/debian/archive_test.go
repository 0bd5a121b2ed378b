// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/download"
)

// fetch fetches packages and gives what was read of each.
func fetch(ctx context.Context, a *Archive, packages ...Package) (got map[string]string, err error) {
	got = map[string]string{}
	err = a.Fetch(ctx, "test", packages, func(p Package, path string) error {
		text, err := os.ReadFile(path)
		got[p.Name] = string(text)
		return err
	})
	return got, err
}

// leftovers are the files in the downloads folder.
func leftovers(t *testing.T, a *Archive) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(a.Store.Dir, "downloads"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	require.NoError(t, err)
	return files
}

func TestIndexIsKeptForADay(t *testing.T) {
	f := newFake(t)
	f.add("make", "4.4-1", []byte("deb"))
	f.publish()
	a := f.archive()
	_, err := a.Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	asked := f.asked()
	require.Len(t, asked, 2)
	assert.Contains(t, asked[1], "/by-hash/SHA256/")
	assert.Empty(t, leftovers(t, a))

	f.now = f.now.Add(23 * time.Hour)
	_, err = f.archiveIn(a.Store).Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	assert.Empty(t, f.asked(), "a young index is believed")

	f.now = f.now.Add(2 * time.Hour)
	_, err = f.archiveIn(a.Store).Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"GET /debian/dists/trixie/InRelease"}, f.asked(), "unchanged, so not fetched again")

	f.now = f.now.Add(25 * time.Hour)
	f.server.Close()
	got, err := f.archiveIn(a.Store).Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err, "an old index is better than none")
	assert.Equal(t, "make", got[0].Name)
}

func TestWithoutByHash(t *testing.T) {
	f := newFake(t)
	f.noHash = true
	f.add("make", "4.4-1", []byte("deb"))
	f.publish()
	_, err := f.archive().Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	assert.Contains(t, f.asked()[1], "Packages.xz")
}

func TestReleaseFileIsVerified(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *fake, a *Archive)
		err   string
	}{
		"signed by somebody else": {func(f *fake, a *Archive) {
			other, err := openpgp.NewEntity("Mallory", "", "m@example.org", nil)
			require.NoError(f.t, err)
			a.Keys = Keyring{archivePart: {other}}
		}, "signature"},
		"no keys for this part": {func(f *fake, a *Archive) { a.Keys = Keyring{securityPart: {f.key}} }, "signature"},
		"changed after signing": {func(f *fake, _ *Archive) {
			path := "/debian/dists/trixie/InRelease"
			f.files[path] = []byte(strings.Replace(string(f.files[path]), "Origin: Test", "Origin: Tost", 1))
		}, "signature"},
		"a clock of long ago": {func(f *fake, _ *Archive) { f.now = f.now.Add(-24 * time.Hour) }, "clock"},
		"not signed": {func(f *fake, _ *Archive) {
			f.files["/debian/dists/trixie/InRelease"] = []byte("<html>please log in</html>")
		}, "not a signed release file"},
		"of another suite": {func(f *fake, _ *Archive) { f.codename = "sid"; f.publish() }, `that of "sid"`},
		"expired": {func(f *fake, _ *Archive) {
			f.validUntil = f.now.Add(-time.Hour).UTC().Format(time.RFC1123)
			f.publish()
		}, "was valid until"},
		"without the index": {func(f *fake, _ *Archive) {
			f.files["/debian/dists/trixie/InRelease"] = f.sign([]byte("Codename: trixie\nSHA256:\n abc 12 main/x\n"))
		}, "lists no"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.add("make", "4.4-1", []byte("deb"))
			f.publish()
			a := f.archive()
			c.spoil(f, a)
			_, err := a.Solve(t.Context(), []string{"make"}, nil)
			require.ErrorContains(t, err, c.err)
			assert.False(t, kernels.IsLacking(err), "a mirror that lies is no lack of this machine")
		})
	}
}

// What stands before the signed text must not count.
func TestTextAroundTheSignatureIsIgnored(t *testing.T) {
	f := newFake(t)
	f.add("make", "4.4-1", []byte("deb"))
	f.publish()
	path := "/debian/dists/trixie/InRelease"
	f.files[path] = append([]byte("Codename: sid\nSHA256:\n 00 1 main/binary-amd64/Packages.xz\n"), f.files[path]...)
	got, err := f.archive().Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	assert.Len(t, got, 1)
}

func TestValidUntilInFuture(t *testing.T) {
	f := newFake(t)
	f.validUntil = f.now.Add(time.Hour).UTC().Format(time.RFC1123)
	f.add("make", "4.4-1", []byte("deb"))
	f.publish()
	_, err := f.archive().Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
}

func TestSuiteThatTheMirrorLacks(t *testing.T) {
	f := newFake(t)
	_, err := f.archive().Solve(t.Context(), []string{"make"}, nil)
	require.ErrorContains(t, err, MirrorVariable)
}

func TestFetch(t *testing.T) {
	f := newFake(t)
	long := strings.Repeat("0123456789", 1000)
	a := f.archive()
	var done, total int64
	a.Progress = func(what string, d, n int64) {
		assert.Equal(t, "test", what)
		assert.GreaterOrEqual(t, d, int64(0))
		done, total = d, n
	}
	packages := []Package{f.add("a", "1", []byte("A")), f.add("b", "1", []byte(long)), f.add("c", "1", []byte("C"))}
	got, err := fetch(t.Context(), a, packages...)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "A", "b": long, "c": "C"}, got)
	assert.Equal(t, int64(len(long)+2), done)
	assert.Equal(t, done, total)
	assert.Empty(t, leftovers(t, a))
}

func TestDamagedDownloadIsFetchedAgain(t *testing.T) {
	for name, bad := range map[string]func(w http.ResponseWriter){
		"other bytes":  func(w http.ResponseWriter) { _, _ = w.Write([]byte("9876543210")) },
		"too short":    func(w http.ResponseWriter) { _, _ = w.Write([]byte("0123")) },
		"too long":     func(w http.ResponseWriter) { _, _ = w.Write([]byte("0123456789abc")) },
		"server fault": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"cut off": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("01234"))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			p := f.add("a", "1", []byte("0123456789"))
			a := f.archive()
			var times atomic.Int32
			f.setTamper(func(w http.ResponseWriter, r *http.Request) bool {
				if times.Add(1) > 1 {
					return false
				}
				bad(w)
				return true
			})
			got, err := fetch(t.Context(), a, p)
			require.NoError(t, err)
			assert.Equal(t, "0123456789", got["a"])
			assert.Empty(t, leftovers(t, a))
		})
	}
}

func TestDamagedForGood(t *testing.T) {
	f := newFake(t)
	p := f.add("a", "1", []byte("0123456789"))
	f.files["/debian/"+p.Filename] = []byte("9876543210")
	a := f.archive()
	_, err := fetch(t.Context(), a, p)
	require.ErrorContains(t, err, "damaged")
	require.ErrorContains(t, err, MirrorVariable)
	assert.LessOrEqual(t, len(f.asked()), 6, "it gives up")
	assert.Empty(t, leftovers(t, a), "damaged bytes are not kept")
}

func TestMissingFile(t *testing.T) {
	f := newFake(t)
	p := f.add("a", "1", []byte("x"))
	delete(f.files, "/debian/"+p.Filename)
	_, err := fetch(t.Context(), f.archive(), p)
	require.ErrorContains(t, err, "lacks the file")
	assert.Len(t, f.asked(), 1, "a missing file is not asked for again")
}

// An archive that moved on behind a young index: the next attempt asks for the
// index and finds what is there now.
func TestSupersededFile(t *testing.T) {
	f := newFake(t)
	f.add("make", "4.4-1", []byte("old"))
	f.publish()
	a := f.archive()
	old, err := a.Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	delete(f.files, "/debian/"+old[0].Filename)
	f.packages = nil
	f.add("make", "4.4-2", []byte("new"))
	f.publish()

	_, err = fetch(t.Context(), a, old...)
	var superseded *Superseded
	require.ErrorAs(t, err, &superseded)
	require.ErrorContains(t, err, "run it again")
	again, err := a.Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	require.Equal(t, "4.4-2", again[0].Version)
	got, err := fetch(t.Context(), a, again...)
	require.NoError(t, err)
	assert.Equal(t, "new", got["make"])
}

// An interrupted download goes on where it was, in the next process as well.
func TestResume(t *testing.T) {
	f := newFake(t)
	text := strings.Repeat("0123456789", 10000)
	p := f.add("a", "1", []byte(text))
	a := f.archive()
	half := int64(len(text) / 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the user pressed Ctrl-C")
	a.Progress = func(_ string, done, _ int64) {
		if done >= half {
			cancel(stop)
		}
	}
	f.setTamper(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(text[:half]))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	_, err := fetch(ctx, a, p)
	require.ErrorIs(t, err, stop)
	assert.Len(t, leftovers(t, a), 1)

	f.asked()
	f.setTamper(nil)
	again := f.archiveIn(a.Store)
	got, err := fetch(t.Context(), again, p)
	require.NoError(t, err)
	assert.Equal(t, text, got["a"])
	assert.Equal(t, []string{"HEAD /debian/" + p.Filename, "GET /debian/" + p.Filename + " bytes=50000-"}, f.asked())
	assert.Empty(t, leftovers(t, again))
}

// A partial file with wrong bytes is found out by its checksum.
func TestResumeOfDamagedPart(t *testing.T) {
	f := newFake(t)
	p := f.add("a", "1", []byte("0123456789"))
	a := f.archive()
	dir := a.downloadDir([]Package{p})
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, p.SHA256+".part"), []byte("xxxx"), 0o644))
	got, err := fetch(t.Context(), a, p)
	require.NoError(t, err)
	assert.Equal(t, "0123456789", got["a"])
}

func TestStall(t *testing.T) {
	f := newFake(t)
	p := f.add("a", "1", []byte("0123456789"))
	a := f.archive()
	a.patience.stall = 100 * time.Millisecond
	a.patience.tries = 2
	f.setTamper(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("01"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	_, err := fetch(t.Context(), a, p)
	var lacking *kernels.Lacking
	require.ErrorAs(t, err, &lacking)
	require.ErrorIs(t, err, download.ErrStalled)
}

func TestTooSlowForTheDeadline(t *testing.T) {
	f := newFake(t)
	p := f.add("a", "1", []byte(strings.Repeat("x", 1000)))
	a := f.archive()
	a.patience.stall = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	f.setTamper(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("xxx"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	_, err := fetch(ctx, a, p)
	require.ErrorContains(t, err, "the network is too slow")
}

func TestNoNetwork(t *testing.T) {
	f := newFake(t)
	f.publish()
	a := f.archive()
	f.server.Close()
	_, err := a.Solve(t.Context(), []string{"make"}, nil)
	var lacking *kernels.Lacking
	require.ErrorAs(t, err, &lacking)
	assert.Contains(t, err.Error(), strings.TrimPrefix(f.server.URL, "http://"), "the host that was tried")
	assert.Contains(t, err.Error(), MirrorVariable)
	assert.Contains(t, err.Error(), "proxy")
}

// A mirror that answers and does not serve, or a proxy that wants a password,
// is as good as none.
func TestRefusal(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusProxyAuthRequired, http.StatusForbidden} {
		f := newFake(t)
		f.add("make", "4.4-1", []byte("deb"))
		f.publish()
		a := f.archive()
		refuse := func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true }
		f.setTamper(refuse)
		_, err := a.Solve(t.Context(), []string{"make"}, nil)
		require.True(t, kernels.IsLacking(err), "%v", err)
		require.ErrorContains(t, err, "/dists/trixie/InRelease")
		require.ErrorContains(t, err, http.StatusText(status))
		require.ErrorContains(t, err, MirrorVariable)

		f.setTamper(nil)
		a = f.archiveIn(a.Store)
		_, err = a.Solve(t.Context(), []string{"make"}, nil)
		require.NoError(t, err)
		f.now = f.now.Add(25 * time.Hour)
		f.setTamper(refuse)
		got, err := f.archiveIn(a.Store).Solve(t.Context(), []string{"make"}, nil)
		require.NoError(t, err, "an old index is better than none")
		assert.Equal(t, "make", got[0].Name)

		_, err = fetch(t.Context(), a, got...)
		require.True(t, kernels.IsLacking(err), "%v", err)
		require.ErrorContains(t, err, strconv.Itoa(status))
	}
}

func TestFaultInUseKeepsDownloads(t *testing.T) {
	f := newFake(t)
	p := f.add("a", "1", []byte("0123456789"))
	a := f.archive()
	broken := errors.New("no room")
	err := a.Fetch(t.Context(), "test", []Package{p}, func(Package, string) error { return broken })
	require.ErrorIs(t, err, broken)
	assert.Len(t, leftovers(t, a), 1)

	old := time.Now().Add(-8 * 24 * time.Hour)
	require.NoError(t, os.Chtimes(a.downloadDir([]Package{p}), old, old))
	a.removeOldDownloads()
	assert.Empty(t, leftovers(t, a), "nobody came back for it")
}

func TestDamagedIndexIsMadeAnew(t *testing.T) {
	f := newFake(t)
	f.add("make", "4.4-1", []byte("deb"))
	f.publish()
	a := f.archive()
	_, err := a.Solve(t.Context(), []string{"make"}, nil)
	require.NoError(t, err)
	for _, path := range []string{a.indexPath(f.suite), a.toolsPath(f.suite)} {
		require.NoError(t, os.WriteFile(path, []byte("garbage"), 0o644))
		_, err = a.Solve(t.Context(), []string{"make"}, nil)
		if err != nil {
			require.ErrorContains(t, err, "run it again")
			_, err = a.Solve(t.Context(), []string{"make"}, nil)
		}
		require.NoError(t, err, path)
	}
}
