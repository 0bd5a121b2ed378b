// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// Entry is what Entries tells of one entry.
type Entry struct {
	Kind, Name string
	Bytes      int64     // what its files take of the disk
	Made       time.Time // when it was sealed
	Broken     error     // what Verify found, nil if whole
}

// Entries lists all entries by kind and name, and behind them what is not
// sealed: builds that were interrupted (see Builds) and the results of runs (see
// Results); deep reads and hashes every file, otherwise sizes and times are
// compared.
func (s *Store) Entries(deep bool) ([]Entry, error) {
	manifests, err := filepath.Glob(filepath.Join(s.Dir, "*", "*", manifestName))
	if err != nil {
		return nil, err
	}
	sort.Strings(manifests)
	var all []Entry
	for _, path := range manifests {
		dir := filepath.Dir(path)
		e := Entry{Kind: filepath.Base(filepath.Dir(dir)), Name: filepath.Base(dir)}
		if e.Kind == "tmp" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			e.Made = info.ModTime()
		}
		e.Bytes = size(dir)
		e.Broken = checkManifest(dir, deep)
		all = append(all, e)
	}
	for _, kind := range []string{Builds, resultsKind} {
		open, err := filepath.Glob(filepath.Join(s.Dir, kind, "*"))
		if err != nil {
			return nil, err
		}
		for _, dir := range open {
			e := Entry{Kind: kind, Name: filepath.Base(dir), Bytes: size(dir)}
			if info, err := os.Stat(dir); err == nil {
				e.Made = info.ModTime()
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// Remove removes an entry, waiting for a process that is making it.
func (s *Store) Remove(ctx context.Context, e Entry) error {
	return s.RemoveIf(ctx, e, func(string) bool { return true })
}

// RemoveIf is Remove for who knows something against the entry at dir as it
// was: if the entry is not still that one, another process has made it again.
func (s *Store) RemoveIf(ctx context.Context, e Entry, still func(dir string) bool) error {
	unlock, err := s.Lock(ctx, e.Kind+"/"+e.Name)
	if err != nil {
		return err
	}
	defer unlock()
	dir := s.Path(e.Kind, e.Name)
	if !still(dir) {
		return nil
	}
	// Without its manifest the entry is gone for every reader at once.
	var errs *multierror.Error
	if err := os.Remove(filepath.Join(dir, manifestName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = multierror.Append(errs, err)
	}
	guard.RemoveAll(dir)
	return errs.ErrorOrNil()
}

func size(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += onDisk(info)
		}
		return nil
	})
	return bytes
}
