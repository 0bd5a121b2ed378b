// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBytes: an entry's size is counted once, and by that the entry is still
// whole; one that is not sealed is counted each time.
func TestBytes(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	dir, err := s.Make(t.Context(), "kernels", "x", func(_ context.Context, dir string) error {
		return os.WriteFile(filepath.Join(dir, "a"), make([]byte, 5000), 0o644)
	})
	require.NoError(t, err)
	first, err := Bytes(dir)
	require.NoError(t, err)
	require.GreaterOrEqual(t, first, int64(5000))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b"), make([]byte, 1<<20), 0o644))
	again, err := Bytes(dir)
	require.NoError(t, err)
	require.Equal(t, first, again, "it was counted again")
	require.NoError(t, checkManifest(dir, true))

	loose := t.TempDir()
	for _, name := range []string{"a", "b"} {
		before, err := Bytes(loose)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(loose, name), make([]byte, 5000), 0o644))
		after, err := Bytes(loose)
		require.NoError(t, err)
		require.Greater(t, after, before)
	}
	_, err = Bytes(filepath.Join(loose, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
