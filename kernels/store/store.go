// SPDX-License-Identifier: Apache-2.0

// Package store is the cache folder: entries that several processes share,
// made once, seen whole or not at all.
//
// An entry is a folder `KIND/NAME`. It is filled under a temporary name,
// sealed with a manifest of its files, and renamed into place, all under a
// file lock, so that a second process waits for the first instead of doing
// the work again. An entry whose files no longer fit the manifest is thrown
// away and made again.
//
// What must not live here: anything about what an entry holds.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// Store is a cache folder. Its methods may be called from several goroutines
// and several processes at once.
type Store struct {
	// Dir is the folder's absolute path.
	Dir string
	// Waiting, if set, is told that another process holds an entry's lock.
	Waiting func(entry string)
}

// DefaultDir is $SWITCHYARD_CACHE, else $XDG_CACHE_HOME/switchyard, else
// ~/.cache/switchyard.
func DefaultDir() (string, error) {
	if dir := os.Getenv("SWITCHYARD_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w; set XDG_CACHE_HOME or SWITCHYARD_CACHE", err)
	}
	return filepath.Join(dir, "switchyard"), nil
}

// Open opens the cache folder dir, or the default one for "", making it if
// need be.
func Open(dir string) (*Store, error) {
	if dir == "" {
		d, err := DefaultDir()
		if err != nil {
			return nil, err
		}
		dir = d
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache folder: %w; set SWITCHYARD_CACHE to a folder you can write", err)
	}
	return &Store{Dir: dir}, nil
}

// Path is where the entry kind/name is or would be.
func (s *Store) Path(kind, name string) string { return filepath.Join(s.Dir, kind, name) }

// Has says whether the entry kind/name is there and whole, without making it.
func (s *Store) Has(kind, name string) bool { return s.Check(kind, name) == nil }

// Check says why the entry kind/name is not there and whole, without making
// it. One that is not there at all is fs.ErrNotExist.
func (s *Store) Check(kind, name string) error {
	dir := s.Path(kind, name)
	if _, err := os.Lstat(dir); err != nil {
		return err
	}
	if err := checkManifest(dir, false); err != nil {
		// Not %w: that a file of it is missing is another thing.
		return fmt.Errorf("cache entry %s/%s: %v", kind, name, err)
	}
	return nil
}

// Make gives the path of the entry kind/name, filling it first if it is not
// there or not whole. fill gets an empty folder and puts the entry's files
// into it; when it fails, nothing stays.
func (s *Store) Make(ctx context.Context, kind, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	final := s.Path(kind, name)
	if s.Has(kind, name) {
		s.Used(kind, name)
		return final, nil
	}
	unlock, err := s.Lock(ctx, kind+"/"+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if s.Has(kind, name) { // another process made it while we waited
		s.Used(kind, name)
		return final, nil
	}
	// One that is not whole, and cannot be replaced, is told before an hour's work.
	if err := s.remove(final); err != nil {
		return "", err
	}
	tmp, remove, err := s.Scratch("make-" + kind)
	if err != nil {
		return "", DiskFull(err, s.Dir)
	}
	defer remove()
	content := filepath.Join(tmp, "content")
	if err := os.Mkdir(content, 0o755); err != nil {
		return "", DiskFull(err, s.Dir)
	}
	if err := fill(ctx, content); err != nil {
		return "", DiskFull(err, s.Dir)
	}
	if err := sealManifest(content); err != nil {
		return "", DiskFull(fmt.Errorf("seal cache entry %s/%s: %w", kind, name, err), s.Dir)
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", DiskFull(err, s.Dir)
	}
	if err := os.Rename(content, final); err != nil {
		return "", fmt.Errorf("put cache entry %s/%s in place: %w", kind, name, unwritable(err))
	}
	return final, nil
}

// Used notes that the entry kind/name is in use now, which keeps `cache prune
// -older` from it. The folder's own time tells, which no manifest holds. In a
// cache that we may not write nothing is noted, and nothing is pruned.
func (s *Store) Used(kind, name string) {
	now := time.Now()
	_ = os.Chtimes(s.Path(kind, name), now, now)
}

// Scratch makes a folder below the cache folder that does not outlive this
// process; remove removes it sooner.
func (s *Store) Scratch(pattern string) (dir string, remove func(), err error) {
	return guard.Scratch(filepath.Join(s.Dir, "tmp"), pattern)
}

const resultsKind = "results"

// Builds is the kind of the folders that long builds go on in after an
// interruption. They are not sealed; who builds holds the lock Builds/NAME.
const Builds = "builds"

// Results makes a new folder for the evidence of a run called name. It stays
// until somebody removes it or prunes the cache.
func (s *Store) Results(name string) (string, error) {
	base := filepath.Join(s.Dir, resultsKind)
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", DiskFull(err, s.Dir)
	}
	dir, err := os.MkdirTemp(base, time.Now().Format("20060102-150405-")+name+"-")
	return dir, DiskFull(err, s.Dir)
}

// Lock takes the cache-wide lock called name, waiting for other processes.
// The kernel drops it should this process die.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	dir := filepath.Join(s.Dir, "locks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, unwritable(DiskFull(err, s.Dir))
	}
	lock := flock.New(filepath.Join(dir, strings.ReplaceAll(name, "/", "_")))
	ok, err := lock.TryLock()
	if err == nil && !ok {
		if s.Waiting != nil {
			s.Waiting(name)
		}
		ok, err = lock.TryLockContext(ctx, 50*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s in %s: %w", name, s.Dir, unwritable(err))
	}
	if !ok {
		return nil, fmt.Errorf("lock %s in %s: %w", name, s.Dir, context.Cause(ctx))
	}
	// The file stays: removing it would let two processes lock two files of
	// one name.
	return func() { _ = lock.Unlock() }, nil
}

// unwritable adds to the error of somebody who may not write what a person can
// do about it: the cache was mounted read-only, or made by root.
func unwritable(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w; a cache must be writable, and locks in it are for one user: give it to this one (chown -R), or set SWITCHYARD_CACHE to a folder of its own", err)
	}
	return err
}

// DiskFull adds to an out-of-space error what a person can do about it; other
// errors, and those that have it already, stay as they are.
func DiskFull(err error, dir string) error {
	var told *fullDisk
	if errors.As(err, &told) || (!errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT)) {
		return err
	}
	return &fullDisk{err, dir}
}

type fullDisk struct {
	err error
	dir string
}

func (f *fullDisk) Error() string {
	return fmt.Sprintf("%v; the disk of %s is full: free some space, run `switchyard cache prune`, or set SWITCHYARD_CACHE to another disk", f.err, f.dir)
}

func (f *fullDisk) Unwrap() error { return f.err }
