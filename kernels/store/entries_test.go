// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// age makes an entry one that was made and used that long ago.
func age(t *testing.T, dir string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	require.NoError(t, os.Chtimes(filepath.Join(dir, manifestName), then, then))
	require.NoError(t, os.Chtimes(dir, then, then))
}

// listed is the entry of a name as Entries tells of it.
func listed(t *testing.T, s *Store, name string) Entry {
	t.Helper()
	all, err := s.Entries(false)
	require.NoError(t, err)
	for _, e := range all {
		if e.Name == name {
			return e
		}
	}
	require.Fail(t, "no entry "+name)
	return Entry{}
}

// TestRemoveUnused: what goes is what nobody asked for, however old the rest is,
// and also if somebody asks between the list and the removal.
func TestRemoveUnused(t *testing.T) {
	s := open(t)
	var made atomic.Int32
	const month = 30 * 24 * time.Hour
	dirs := map[string]string{}
	for _, name := range []string{"idle", "used", "raced"} {
		dir, err := s.Make(t.Context(), "kind", name, fill(&made))
		require.NoError(t, err)
		age(t, dir, 2*month)
		dirs[name] = dir
	}
	_, err := s.Make(t.Context(), "kind", "used", fill(&made))
	require.NoError(t, err)
	require.EqualValues(t, 3, made.Load(), "it is used, not made again")
	require.WithinDuration(t, time.Now().Add(-2*month), listed(t, s, "used").Made, time.Minute)

	all, err := s.Entries(false)
	require.NoError(t, err)
	s.Used("kind", "raced")
	for _, e := range all {
		removed, err := s.RemoveUnused(t.Context(), e, month)
		require.NoError(t, err)
		require.Equal(t, e.Name == "idle", removed, e.Name)
	}
	require.NoDirExists(t, dirs["idle"])
	require.DirExists(t, dirs["used"])
	require.DirExists(t, dirs["raced"])
	require.NoError(t, listed(t, s, "used").Broken)

	for _, name := range []string{"used", "raced"} {
		removed, err := s.RemoveUnused(t.Context(), listed(t, s, name), 0)
		require.NoError(t, err)
		require.True(t, removed, "no time means all")
	}
}

// TestRemoveLeavesNoHalf: an entry goes as a whole, and what is gone already is
// no error.
func TestRemoveLeavesNoHalf(t *testing.T) {
	s := open(t)
	var made atomic.Int32
	dir, err := s.Make(t.Context(), "kind", "name", fill(&made))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Join(dir, "sub"), 0o500))
	e := listed(t, s, "name")
	require.NoError(t, s.Remove(t.Context(), e))
	require.NoDirExists(t, dir)
	left, err := filepath.Glob(filepath.Join(s.Dir, "tmp", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, s.Remove(t.Context(), e))

	// Where no folder can be made, as on a full disk, it goes all the same.
	dir, err = s.Make(t.Context(), "kind", "name", fill(&made))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(s.Dir, "tmp")))
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "tmp"), nil, 0o644))
	require.NoError(t, s.Remove(t.Context(), e))
	require.NoDirExists(t, dir)
}

// TestRemoveAbandoned: scratch folders of a process that runs, and young ones,
// which may be another container's, stay.
func TestRemoveAbandoned(t *testing.T) {
	s := open(t)
	old := time.Now().Add(-2 * abandonedAfter)
	const nobody = 1 << 29 // more than the kernel gives to any process: PID_MAX_LIMIT is 2^22
	path := func(pid, n int) string { return filepath.Join(s.Dir, "tmp", fmt.Sprintf("make-kind-%d-%d", pid, n)) }
	gone, running, young := path(nobody, 1), path(os.Getpid(), 1), path(nobody, 2)
	for _, dir := range []string{gone, running, young} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("some"), 0o644))
		if dir != young {
			require.NoError(t, os.Chtimes(dir, old, old))
		}
	}
	require.Positive(t, s.RemoveAbandoned())
	require.NoDirExists(t, gone)
	require.DirExists(t, running)
	require.DirExists(t, young)
}

// TestTimesComeBack: a cache whose files were copied without their times is
// whole, and read to the last byte once, not at every look.
func TestTimesComeBack(t *testing.T) {
	s := open(t)
	var made atomic.Int32
	dir, err := s.Make(t.Context(), "kind", "name", fill(&made))
	require.NoError(t, err)
	path := filepath.Join(dir, "other")
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)))
	require.NoError(t, s.Check("kind", "name"))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime())

	// What was changed does not get it.
	require.NoError(t, os.WriteFile(path, []byte("MORE"), 0o644))
	require.NoError(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)))
	require.ErrorContains(t, s.Check("kind", "name"), "content changed")
}

// TestUnwritable: who may not write the cache is told what to do.
func TestUnwritable(t *testing.T) {
	for _, err := range []error{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, syscall.EROFS} {
		require.ErrorIs(t, unwritable(err), err)
		require.ErrorContains(t, unwritable(err), "SWITCHYARD_CACHE")
	}
	require.Equal(t, os.ErrClosed, unwritable(os.ErrClosed))
	require.NoError(t, unwritable(nil))
	if os.Getuid() == 0 {
		return // root may write anything
	}
	s := open(t)
	kind := filepath.Join(s.Dir, "kind")
	require.NoError(t, os.MkdirAll(filepath.Join(kind, "name", "half"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(kind, "name"), 0o500))
	require.NoError(t, os.Chmod(kind, 0o500))
	t.Cleanup(func() {
		_ = os.Chmod(kind, 0o700)
		_ = os.Chmod(filepath.Join(s.Dir, "locks"), 0o700)
	})
	var made atomic.Int32
	_, err := s.Make(t.Context(), "kind", "name", fill(&made))
	require.ErrorContains(t, err, "SWITCHYARD_CACHE")
	require.Zero(t, made.Load(), "no work is done that nobody can keep")

	require.NoError(t, os.Chmod(filepath.Join(s.Dir, "locks"), 0o500))
	_, err = s.Lock(t.Context(), "another")
	require.ErrorContains(t, err, "SWITCHYARD_CACHE")
}
