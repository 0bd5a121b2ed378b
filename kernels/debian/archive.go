// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// parallelDownloads is how many files are fetched at once: more does not help
// one mirror, and memory is bounded.
const parallelDownloads = 4

// downloadsKept is how long a file that nobody took up again stays.
const downloadsKept = 7 * 24 * time.Hour

// Archive is a Debian archive. Its methods may be called from several
// goroutines. Fields are set before the first call.
type Archive struct {
	// Store keeps indexes, partial downloads, and what is made of them.
	Store *store.Store
	// Mirror is where it is read from.
	Mirror Mirror
	// Suites are the suites looked at.
	Suites []Suite
	// Keys are those that count; nil for Debian's, which are read only when a
	// signature is to be verified: it takes 20 ms, half of a list of kernels.
	Keys Keyring
	// Progress, if set, hears of downloads.
	Progress kernels.Progress
	// Now is the clock that expiry dates are compared with.
	Now func() time.Time

	patience patience
	once     sync.Once
	http     *http.Client

	mu          sync.Mutex
	unreachable error // why the mirror was given up; asked once per process
}

// NewArchive is the Debian archive at the mirror that FindMirror finds.
// progress may be nil.
func NewArchive(st *store.Store, progress kernels.Progress) (*Archive, error) {
	m, err := FindMirror()
	if err != nil {
		return nil, err
	}
	return &Archive{Store: st, Mirror: m, Suites: Suites, Progress: progress, Now: time.Now, patience: defaultPatience}, nil
}

// indexDir is the folder for what is known of this mirror.
func (a *Archive) indexDir() string {
	sum := sha256.Sum256([]byte(a.Mirror.Archive + " " + a.Mirror.Security))
	return filepath.Join(a.Store.Dir, "archive", hex.EncodeToString(sum[:6]))
}

// Fetch downloads the packages, several at once, and gives each one's verified
// file to use, one at a time, in the order of packages. what names it all for
// Progress. After use of all, the files are removed; if anything goes wrong
// they stay, so that the next attempt goes on from there. The caller holds the
// lock of what the packages are for (store.Make's fill does). After a
// *Superseded the mirror is asked for the indexes, however young they are.
func (a *Archive) Fetch(ctx context.Context, what string, packages []Package, use func(p Package, path string) error) error {
	a.removeOldDownloads()
	dir := a.downloadDir(packages)
	bar := newBar(a.Progress, what, packages)
	ready := make([]chan string, len(packages))
	for i := range ready {
		ready[i] = make(chan string, 1)
	}
	// Only that we were interrupted; the download that was cut off knows more.
	var interrupted error
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads + 1) // and the one that uses
	g.Go(func() error {
		for i, p := range packages {
			select {
			case path := <-ready[i]:
				if err := use(p, path); err != nil {
					return fmt.Errorf("package %s: %w", p.Name, err)
				}
			case <-ctx.Done():
				interrupted = context.Cause(ctx)
				return nil
			}
		}
		return nil
	})
	for i, p := range packages {
		g.Go(func() error {
			path, err := a.download(ctx, p.remote(a), dir, func(n int64) { bar.set(i, n) })
			if err != nil {
				return err
			}
			bar.set(i, p.Size)
			ready[i] <- path
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		var superseded *Superseded
		if errors.As(err, &superseded) {
			a.distrust(packages)
		}
		return err
	}
	if interrupted != nil {
		return interrupted
	}
	return os.RemoveAll(dir)
}

// downloadDir is where packages that belong together are kept until all were
// used.
func (a *Archive) downloadDir(packages []Package) string {
	h := sha256.New()
	for _, p := range packages {
		fmt.Fprintln(h, p.SHA256)
	}
	return filepath.Join(a.Store.Dir, "downloads", hex.EncodeToString(h.Sum(nil)[:8]))
}

// removeOldDownloads removes what was left by attempts that nobody repeated.
func (a *Archive) removeOldDownloads() {
	dir := filepath.Join(a.Store.Dir, "downloads")
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && time.Since(info.ModTime()) > downloadsKept {
			os.RemoveAll(filepath.Join(dir, f.Name()))
		}
	}
}

// bar adds up the progress of several files.
type bar struct {
	mu       sync.Mutex
	progress kernels.Progress
	what     string
	each     []int64
	total    int64
}

func newBar(progress kernels.Progress, what string, packages []Package) *bar {
	b := &bar{progress: progress, what: what, each: make([]int64, len(packages))}
	for _, p := range packages {
		b.total += p.Size
	}
	return b
}

func (b *bar) set(i int, n int64) {
	if b.progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.each[i] = n
	var done int64
	for _, n := range b.each {
		done += n
	}
	b.progress(b.what, done, b.total)
}
