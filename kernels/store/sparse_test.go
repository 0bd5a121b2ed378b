// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sparse makes a file of size bytes with the given pages, each filled with
// its own number; with holes only where none is.
func sparse(t testing.TB, path string, size int64, pages []int64, whole bool) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	if whole {
		_, err = f.Write(make([]byte, size))
		require.NoError(t, err)
	}
	require.NoError(t, f.Truncate(size))
	for _, p := range pages {
		content := make([]byte, min(page, size-p*page))
		for i := range content {
			content[i] = byte(p + 1)
		}
		_, err = f.WriteAt(content, p*page)
		require.NoError(t, err)
	}
}

// TestHashPages: the sum of a file with holes depends on its content, each byte
// of it, and not on where the holes are.
func TestHashPages(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(1, 600*page).Draw(rt, "size")
		last := (size - 1) / page
		pages := rapid.SliceOfN(rapid.Int64Range(0, last), 0, 6).Draw(rt, "pages")
		one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
		sparse(t, one, size, pages, false)
		sparse(t, two, size, pages, true)
		sum, err := hashPages(one)
		require.NoError(rt, err)
		again, err := hashPages(two)
		require.NoError(rt, err)
		require.Equal(rt, sum, again, "the holes count")

		f, err := os.OpenFile(one, os.O_RDWR, 0)
		require.NoError(rt, err)
		defer f.Close()
		at := rapid.Int64Range(0, size-1).Draw(rt, "at")
		b := make([]byte, 1)
		_, err = f.ReadAt(b, at)
		require.NoError(rt, err)
		_, err = f.WriteAt([]byte{b[0] ^ 1<<rapid.IntRange(0, 7).Draw(rt, "bit")}, at)
		require.NoError(rt, err)
		changed, err := hashPages(one)
		require.NoError(rt, err)
		require.NotEqual(rt, sum, changed, "byte %d of %d", at, size)
	})
}

// TestEntryWithHoles: an entry counts as what it takes of the disk, and is
// checked to the last byte.
func TestEntryWithHoles(t *testing.T) {
	s := open(t)
	const size = 64 << 20
	dir, err := s.Make(t.Context(), "kind", "name", func(_ context.Context, dir string) error {
		sparse(t, filepath.Join(dir, "file"), size, []int64{3, 1000}, false)
		return nil
	})
	require.NoError(t, err)
	all, err := s.Entries(true)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.NoError(t, all[0].Broken)
	require.Less(t, all[0].Bytes, int64(size/10))

	path := filepath.Join(dir, "file")
	info, err := os.Stat(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{1}, size-1)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	require.True(t, s.Has("kind", "name"), "a look at the times shows nothing")
	all, err = s.Entries(true)
	require.NoError(t, err)
	require.ErrorContains(t, all[0].Broken, "content changed")
}

// TestRemoveIf leaves an entry that is not the one that was meant.
func TestRemoveIf(t *testing.T) {
	s := open(t)
	_, err := s.Make(t.Context(), "kind", "name", func(context.Context, string) error { return nil })
	require.NoError(t, err)
	e := Entry{Kind: "kind", Name: "name"}
	require.NoError(t, s.RemoveIf(t.Context(), e, func(string) bool { return false }))
	require.NoError(t, s.Check("kind", "name"))
	require.NoError(t, s.RemoveIf(t.Context(), e, func(dir string) bool { return dir == s.Path("kind", "name") }))
	require.ErrorIs(t, s.Check("kind", "name"), os.ErrNotExist)
}
