// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	return s
}

// fill makes an entry of two files and a link, and counts.
func fill(made *atomic.Int32) func(context.Context, string) error {
	return func(_ context.Context, dir string) error {
		made.Add(1)
		if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("sub/file", filepath.Join(dir, "link")); err != nil {
			return err
		}
		return errors.Join(
			os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("content"), 0o644),
			os.WriteFile(filepath.Join(dir, "other"), []byte("more"), 0o644))
	}
}

// TestMakeOnce: what is there and whole is not made again, by nobody.
func TestMakeOnce(t *testing.T) {
	s := open(t)
	var made atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			// A store of its own each, as processes have.
			mine, err := Open(s.Dir)
			if err != nil {
				t.Error(err)
				return
			}
			dir, err := mine.Make(t.Context(), "kind", "name", fill(&made))
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(filepath.Join(dir, "link")); err != nil || string(text) != "content" {
				t.Errorf("entry not whole: %q, %v", text, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, made.Load())
}

// TestDamageIsFound: an entry that is not as it was made is made again.
func TestDamageIsFound(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"flipped":   func(d string) error { return os.WriteFile(filepath.Join(d, "sub", "file"), []byte("contenT"), 0o644) },
		"truncated": func(d string) error { return os.Truncate(filepath.Join(d, "other"), 1) },
		"missing":   func(d string) error { return os.Remove(filepath.Join(d, "other")) },
		"link": func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "link")), os.Symlink("other", filepath.Join(d, "link")))
		},
		"no manifest": func(d string) error { return os.Remove(filepath.Join(d, manifestName)) },
		"torn manifest": func(d string) error {
			return os.Truncate(filepath.Join(d, manifestName), 20)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			var made atomic.Int32
			dir, err := s.Make(t.Context(), "kind", "name", fill(&made))
			require.NoError(t, err)
			require.True(t, s.Has("kind", "name"))
			require.NoError(t, damage(dir))
			require.False(t, s.Has("kind", "name"))
			_, err = s.Make(t.Context(), "kind", "name", fill(&made))
			require.NoError(t, err)
			require.EqualValues(t, 2, made.Load())
			require.True(t, s.Has("kind", "name"))
		})
	}
}

// TestDeepCheck finds what changed behind an unchanged size and time.
func TestDeepCheck(t *testing.T) {
	s := open(t)
	var made atomic.Int32
	dir, err := s.Make(t.Context(), "kind", "name", fill(&made))
	require.NoError(t, err)
	path := filepath.Join(dir, "other")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte("lorE"), 0o644))
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	shallow, err := s.Entries(false)
	require.NoError(t, err)
	require.NoError(t, shallow[0].Broken)
	deep, err := s.Entries(true)
	require.NoError(t, err)
	require.ErrorContains(t, deep[0].Broken, "other")

	require.NoError(t, s.Remove(t.Context(), deep[0]))
	require.NoDirExists(t, dir)
}

// TestFailureLeavesNothing: neither an entry nor a temporary folder.
func TestFailureLeavesNothing(t *testing.T) {
	s := open(t)
	broken := errors.New("the network is away")
	_, err := s.Make(t.Context(), "kind", "name", func(_ context.Context, dir string) error {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "half"), nil, 0o644))
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.NoDirExists(t, s.Path("kind", "name"))
	left, err := os.ReadDir(filepath.Join(s.Dir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestDiskFull fills a small disk of its own: the error says what to do, and
// nothing stays.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mounting a small disk needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s, err := Open(dir)
	require.NoError(t, err)
	_, err = s.Make(t.Context(), "kind", "name", func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "big"), make([]byte, 2<<20), 0o644)
	})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "cache prune")
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestLockEndsWithContext: who waits for another process can be interrupted.
func TestLockEndsWithContext(t *testing.T) {
	s := open(t)
	unlock, err := s.Lock(t.Context(), "a/b")
	require.NoError(t, err)
	other, err := Open(s.Dir)
	require.NoError(t, err)
	waited := make(chan string, 1)
	other.Waiting = func(what string) { waited <- what }
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := other.Lock(ctx, "a/b")
		failed <- err
	}()
	require.Equal(t, "a/b", <-waited)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	unlock()
	unlock, err = other.Lock(t.Context(), "a/b")
	require.NoError(t, err)
	unlock()
}
