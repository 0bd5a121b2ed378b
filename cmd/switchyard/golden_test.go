// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/dustin/go-humanize"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// TestCacheOfGoldens: `switchyard run` leaves a snapshot in the cache, which
// `switchyard cache` lists with what it takes of the disk, `cache -verify`
// reads to the last byte, holes too, and `cache prune` removes.
func TestCacheOfGoldens(t *testing.T) {
	shared, err := store.Open("")
	require.NoError(t, err)
	scratch := func() string {
		dir, remove, err := shared.Scratch("test-cache")
		require.NoError(t, err)
		t.Cleanup(remove)
		return dir
	}
	switchyard := func(cache string, args ...string) (string, error) {
		cmd := exec.Command("switchyard", args...)
		cmd.Env = append(os.Environ(), "SWITCHYARD_CACHE="+cache)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// A cache with snapshots of its own, then one with nothing else, as prune
	// would follow the links.
	own, alone := scratch(), scratch()
	kinds, err := os.ReadDir(shared.Dir)
	require.NoError(t, err)
	for _, kind := range kinds {
		switch kind.Name() {
		case "goldens", "locks", "tmp", "vms", "results":
		default:
			require.NoError(t, os.Symlink(filepath.Join(shared.Dir, kind.Name()), filepath.Join(own, kind.Name())))
		}
	}
	out, err := switchyard(own, "run", "../../cases/testdata/cmdline", "-kernel", "6.1", "-load", "none", "-format", "json")
	require.NoError(t, err, out)
	require.Contains(t, out, `"start": "fork"`)
	require.NotContains(t, out, "snapshot_failures")
	require.NoError(t, os.Rename(filepath.Join(own, "goldens"), filepath.Join(alone, "goldens")))

	out, err = switchyard(alone, "cache")
	require.NoError(t, err, out)
	line := regexp.MustCompile(`goldens +6\.1\S+ +(\d\S* \w+) .* whole`).FindStringSubmatch(out)
	require.NotNil(t, line, out)
	size, err := humanize.ParseBytes(line[1])
	require.NoError(t, err)
	require.Less(t, size, uint64(300<<20), "of 512 MiB of memory most was never written")
	require.Greater(t, size, uint64(20<<20))

	out, err = switchyard(alone, "cache", "-verify")
	require.NoError(t, err, out)
	files, err := filepath.Glob(filepath.Join(alone, "goldens", "*", "ram"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	for _, at := range []int64{0x100_0000 + 5, 300<<20 + 123} { // the kernel's text, and most likely a hole
		flip(t, files[0], at)
		out, err = switchyard(alone, "cache")
		require.NoError(t, err, "a look at the times shows nothing: %s", out)
		out, err = switchyard(alone, "cache", "-verify")
		require.Error(t, err, "a flipped byte at "+strconv.FormatInt(at, 10))
		require.Contains(t, out, "damaged, will be made again")
		require.Contains(t, out, files[0]+": content changed")
		flip(t, files[0], at)
	}
	out, err = switchyard(alone, "cache", "-verify")
	require.NoError(t, err, "it is as it was, less a hole: %s", out)

	out, err = switchyard(alone, "cache", "prune")
	require.NoError(t, err, out)
	left, err := filepath.Glob(filepath.Join(alone, "goldens", "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// flip flips a bit of a file, which keeps its times.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{b[0] ^ 4}, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}
