// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/go-multierror"
	"github.com/klauspost/compress/zstd"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// indexKept is how long an index is believed without asking the mirror.
const indexKept = 24 * time.Hour

// index is what is kept of one suite.
type index struct {
	Suite string
	// Fetched is when the mirror was asked last.
	Fetched time.Time
	// Packages is the checksum of the archive's index this was derived from;
	// "" if the mirror has no such suite.
	Packages string
	// Names are the names of packages that Kernels was chosen by.
	Names string
	// Kernels are the packages of kernelPackage names.
	Kernels []Package
	// MakingNames are the names of packages that Making was chosen by.
	MakingNames string `json:",omitempty"`
	// Making are what kernels are made from and with: see makingNames.
	Making []Package `json:",omitempty"`
}

func (a *Archive) indexPath(s Suite) string { return filepath.Join(a.indexDir(), s.Name+".json") }

// toolsPath is where all packages of a suite for tools are kept, in brief.
func (a *Archive) toolsPath(s Suite) string {
	return filepath.Join(a.indexDir(), s.Name+".packages.zst")
}

func (a *Archive) readIndex(s Suite) (*index, error) {
	text, err := os.ReadFile(a.indexPath(s))
	if err != nil {
		return nil, err
	}
	var ix index
	if err := json.Unmarshal(text, &ix); err != nil {
		return nil, err
	}
	if s.Tools && ix.Packages != "" {
		if _, err := os.Stat(a.toolsPath(s)); err != nil {
			return nil, err
		}
	}
	return &ix, nil
}

// index gives what is known of a suite: from the cache if that is younger
// than a day, else from the mirror, else, if the mirror cannot be reached,
// from the cache all the same.
func (a *Archive) index(ctx context.Context, s Suite) (*index, error) {
	return a.indexIf(ctx, s, a.young)
}

// indexIf is index with another idea of which cached one is good enough.
func (a *Archive) indexIf(ctx context.Context, s Suite, good func(*index) bool) (*index, error) {
	old, err := a.readIndex(s)
	if err == nil && good(old) {
		return old, nil
	}
	unlock, err := a.Store.Lock(ctx, "archive/"+filepath.Base(a.indexDir())+"/"+s.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if old, err = a.readIndex(s); err == nil && good(old) {
		return old, nil // another process was faster
	}
	ix, err := a.refresh(ctx, s, old)
	if err != nil && old != nil && kernels.IsLacking(err) {
		return old, nil
	}
	return ix, err
}

// distrust makes the indexes that packages were chosen by old, so that who asks
// next asks the mirror, which gives the same ones if nothing has changed.
func (a *Archive) distrust(packages []Package) {
	for _, s := range a.Suites {
		if !slices.ContainsFunc(packages, func(p Package) bool { return p.Suite == s.Name }) {
			continue
		}
		// Another process may have written a newer one; to ask once more for
		// that is cheap, so it needs no lock.
		if ix, err := a.readIndex(s); err == nil {
			ix.Fetched = time.Time{}
			_ = a.writeIndex(s, ix) // a day makes it old as well
		}
	}
}

func (a *Archive) young(ix *index) bool {
	age := a.Now().Sub(ix.Fetched)
	return age >= 0 && age < indexKept && ix.Names == kernelNames.String()
}

// complete says whether the index tells of sources and compilers as well. One
// that an older switchyard wrote does not.
func (ix *index) complete() bool { return ix.MakingNames == makingNames.String() }

// refresh asks the mirror. Once it could not be reached it is not asked again
// by this process: six suites' time-outs are a minute and a half.
func (a *Archive) refresh(ctx context.Context, s Suite, old *index) (*index, error) {
	a.mu.Lock()
	gone := a.unreachable
	a.mu.Unlock()
	if gone != nil {
		return nil, gone
	}
	ix, err := a.fetchIndex(ctx, s, old)
	if err != nil && ctx.Err() == nil && kernels.IsLacking(err) {
		a.mu.Lock()
		a.unreachable = err
		a.mu.Unlock()
	}
	return ix, err
}

func (a *Archive) fetchIndex(ctx context.Context, s Suite, old *index) (*index, error) {
	if err := os.MkdirAll(a.indexDir(), 0o755); err != nil {
		return nil, store.DiskFull(err, a.Store.Dir)
	}
	ix := &index{Suite: s.Name, Fetched: a.Now(), Names: kernelNames.String(), MakingNames: makingNames.String()}
	r, ok, err := a.fetchRelease(ctx, s)
	if err != nil {
		return nil, err
	}
	if !ok { // a mirror without this suite
		return ix, a.writeIndex(s, ix)
	}
	f, suffix, err := r.packages(a.Mirror.url(s.Part), s)
	if err != nil {
		return nil, err
	}
	ix.Packages = f.sha256
	if old != nil && old.Packages == f.sha256 && old.Names == ix.Names && old.complete() {
		ix.Kernels, ix.Making = old.Kernels, old.Making
		return ix, a.writeIndex(s, ix)
	}
	dir := filepath.Join(a.Store.Dir, "downloads", filepath.Base(a.indexDir())+"-"+s.Name)
	path, err := a.download(ctx, f, dir, func(n int64) {
		if a.Progress != nil {
			a.Progress(f.name, n, f.size)
		}
	})
	if err != nil {
		return nil, err
	}
	if err := a.derive(ix, s, path, suffix); err != nil {
		return nil, store.DiskFull(err, a.Store.Dir)
	}
	return ix, os.RemoveAll(dir)
}

// derive reads the archive's index once, for both that we keep of it.
func (a *Archive) derive(ix *index, s Suite, path, suffix string) error {
	tools := func(Package) error { return nil }
	var finish func() error
	if s.Tools {
		out, err := renameio.NewPendingFile(a.toolsPath(s), renameio.WithPermissions(0o644))
		if err != nil {
			return err
		}
		defer out.Cleanup()
		packed, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
		if err != nil {
			return err
		}
		tools = func(p Package) error { return writeBrief(packed, p) }
		finish = func() error {
			return errors.Join(packed.Close(), out.CloseAtomicallyReplace())
		}
	}
	err := eachPackage(path, suffix, s, func(p Package) error {
		if kernelPackage(p.Name) {
			ix.Kernels = append(ix.Kernels, p)
		}
		if makingNames.MatchString(p.Name) {
			ix.Making = append(ix.Making, p)
		}
		return tools(p)
	})
	if err != nil {
		return err
	}
	if finish != nil {
		if err := finish(); err != nil {
			return err
		}
	}
	return a.writeIndex(s, ix)
}

func (a *Archive) writeIndex(s Suite, ix *index) error {
	text, err := json.Marshal(ix)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(a.indexPath(s), text, 0o644); err != nil {
		return fmt.Errorf("keep the index of %s: %w", s.Name, store.DiskFull(err, a.Store.Dir))
	}
	return nil
}

// indexes gives all suites' indexes. What could be had comes with the error
// about the rest.
func (a *Archive) indexes(ctx context.Context, want func(Suite) bool) ([]*index, error) {
	var all []*index
	var errs *multierror.Error
	told := map[string]bool{}
	for _, s := range a.Suites {
		if !want(s) {
			continue
		}
		ix, err := a.index(ctx, s)
		if err != nil {
			if !told[err.Error()] { // an unreachable mirror is one fault
				told[err.Error()] = true
				errs = multierror.Append(errs, err)
			}
			continue
		}
		all = append(all, ix)
	}
	if errs != nil && len(errs.Errors) == 1 {
		return all, errs.Errors[0]
	}
	return all, errs.ErrorOrNil()
}

// The brief form of a package is one line with tabs between.

func writeBrief(w io.Writer, p Package) error {
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", p.Name, p.Version, p.Filename, p.Size, p.SHA256,
		oneLine(p.Depends), oneLine(p.Provides))
	return err
}

func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		return r
	}, text)
}
