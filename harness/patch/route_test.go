// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// samples are all C sources of this repository that run in guests.
func samples(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{
		"../../cases/testdata/*", "../../cases/testdata/*/with/*.c", "../run/warm", "../run/wake",
		"../run/testdata/*", "../run/testdata/*/with/*.c", "testdata/several",
	} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		for _, path := range found {
			if inside, err := filepath.Glob(filepath.Join(path, "*.c")); strings.HasSuffix(path, ".c") || err == nil && len(inside) > 0 {
				all = append(all, path)
			}
		}
	}
	return all
}

// TestSamplesBuildFromTheImage: everything that the cases and the harness load
// into guests can be built for kernels without headers, and patches what it
// patches when kbuild makes it.
func TestSamplesBuildFromTheImage(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for _, kit := range kits {
		for _, path := range samples(t) {
			t.Run(kit.Release+"/"+filepath.Base(path), func(t *testing.T) {
				b.Route = patch.RouteBTF
				got, err := build(t, b, path, kit)
				require.NoError(t, err)
				require.Equal(t, patch.RouteBTF, got.Manifest.Route)
				require.Empty(t, got.Manifest.Warnings)
				require.NoError(t, got.CheckVermagic(kit))

				b.Route = patch.RouteKbuild
				want, err := build(t, b, path, kit)
				require.NoError(t, err)
				require.Equal(t, patch.RouteKbuild, want.Manifest.Route)
				require.NotEqual(t, want.Path, got.Path, "the routes share a cache entry")
				want.Manifest.Route = got.Manifest.Route
				require.Equal(t, want.Manifest, got.Manifest)
				require.Equal(t, want.Name, got.Name)
			})
		}
	}
}
