// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// Entry is what Entries tells of one entry.
type Entry struct {
	Kind, Name string
	Bytes      int64     // what its files take of the disk
	Made       time.Time // when it was sealed
	Used       time.Time // when it was made or asked for last
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
		e.Used = e.Made
		if used := lastUse(dir); used.After(e.Made) {
			e.Used = used
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
			used := lastUse(dir)
			all = append(all, Entry{Kind: kind, Name: filepath.Base(dir), Bytes: size(dir), Made: used, Used: used})
		}
	}
	return all, nil
}

// lastUse is when the entry at dir was used last: see Used.
func lastUse(dir string) time.Time {
	info, err := os.Stat(dir)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// RemoveUnused is Remove for an entry that nobody has used for so long; one
// that was taken up since it was listed stays.
func (s *Store) RemoveUnused(ctx context.Context, e Entry, long time.Duration) (removed bool, err error) {
	if long > 0 && time.Since(e.Used) < long { // without waiting for its lock
		return false, nil
	}
	err = s.RemoveIf(ctx, e, func(dir string) bool {
		removed = long <= 0 || time.Since(lastUse(dir)) >= long
		return removed
	})
	return removed && err == nil, err
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
	return s.remove(dir)
}

// remove removes the folder of an entry, for every reader at once: it is moved
// out of the way, to where it goes also if this process is killed. Half an
// entry that stays would be seen by nobody, and never removed.
func (s *Store) remove(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // by another process
	}
	if tmp, drop, err := s.Scratch("remove"); err == nil {
		defer drop()
		if err := os.Rename(dir, filepath.Join(tmp, "content")); err == nil {
			return nil
		}
	}
	// There is no room for a folder any more, or the entry is none of ours.
	// Without its manifest it is gone for every reader as well.
	if err := os.Remove(filepath.Join(dir, manifestName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritable(err)
	}
	guard.RemoveAll(dir)
	if _, err := os.Lstat(dir); err == nil {
		return unwritable(fmt.Errorf("remove %s, or what is in it: %w", dir, fs.ErrPermission))
	}
	return nil
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
