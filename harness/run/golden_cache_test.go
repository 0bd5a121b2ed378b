// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// ownKinds are what a cache for tests has of its own; the rest is the
// machine's.
var ownKinds = []string{goldenKind, "locks", "tmp", "vms", "results"}

// ownFolders are the cache of these tests, which goes with this process, and a
// copy of the snapshot that some begin with.
var ownFolders struct{ cache, seed string }

// ownCache gives a cache without snapshots, for those that the test makes and
// damages: dir, or one in the machine's cache for "". Everything else that runs
// of cmdline on 6.1 and 6.12 need comes from the machine's.
func ownCache(t *testing.T, dir string) string {
	t.Helper()
	shared := testYard(t)
	for _, version := range versions {
		p := testPlan(t, shared, version, "cmdline", "")
		kit, err := shared.Kit(t.Context(), p.Kernel)
		require.NoError(t, err)
		_, err = shared.Builder.Build(t.Context(), p.Patches[0], kit)
		require.NoError(t, err)
		_, err = shared.warmModule(t.Context(), kit)
		require.NoError(t, err)
		_, err = images.Spec{Kit: kit}.Build(t.Context(), shared.Store)
		require.NoError(t, err)
	}
	_, err := shared.FindQEMU(t.Context())
	require.NoError(t, err)
	if dir == "" {
		if ownFolders.cache == "" {
			ownFolders.cache, _, err = shared.Store.Scratch("test-cache")
			require.NoError(t, err)
		}
		dir = ownFolders.cache
		require.NoError(t, os.RemoveAll(filepath.Join(dir, goldenKind)))
	}
	kinds, err := os.ReadDir(shared.Store.Dir)
	require.NoError(t, err)
	for _, kind := range kinds {
		if !slices.Contains(ownKinds, kind.Name()) {
			err := os.Symlink(filepath.Join(shared.Store.Dir, kind.Name()), filepath.Join(dir, kind.Name()))
			require.True(t, err == nil || os.IsExist(err), "%v", err)
		}
	}
	t.Setenv("SWITCHYARD_CACHE", dir)
	return dir
}

// seededCache is ownCache with the snapshot of guestConfig on 6.1 in it.
func seededCache(t *testing.T) string {
	t.Helper()
	shared := testYard(t)
	cache := ownCache(t, "")
	if ownFolders.seed != "" {
		copyTree(t, ownFolders.seed, filepath.Join(cache, goldenKind))
		return cache
	}
	y := testYard(t)
	g := start(t, y, guestConfig(t, y, "6.1"))
	require.Equal(t, StartFork, g.Origin.Start, "%v", g.Origin.Failures)
	require.NoError(t, g.Close(t.Context()))
	seed, _, err := shared.Store.Scratch("test-seed")
	require.NoError(t, err)
	copyTree(t, filepath.Join(cache, goldenKind), seed)
	ownFolders.seed = seed
	return cache
}

// guestConfig is the guest of these tests.
func guestConfig(t *testing.T, y *Yard, version string) GuestConfig {
	t.Helper()
	kit, err := y.Kit(t.Context(), testPlan(t, y, version, "cmdline", "").Kernel)
	require.NoError(t, err)
	return GuestConfig{Kit: kit, CPUs: 1, Dir: t.TempDir()}
}

// start boots a guest that is closed at the end of the test.
func start(t *testing.T, y *Yard, cfg GuestConfig) *Guest {
	t.Helper()
	cfg.Dir = t.TempDir()
	g, err := y.Boot(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close(t.Context()) })
	return g
}

// entry is the one snapshot in a cache.
func entry(t *testing.T, cache string) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(cache, goldenKind, "*"))
	require.NoError(t, err)
	require.Len(t, all, 1, "snapshots in the cache")
	return all[0]
}

// made tells one making of a snapshot from another.
func made(t *testing.T, dir string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "snapshot.json"))
	require.NoError(t, err)
	return fmt.Sprint(info.ModTime().UnixNano())
}

// copyTree copies a snapshot, its holes and times too.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	out, err := exec.Command("cp", "-a", "--sparse=always", from+"/.", to).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// keepTimes calls change and gives the file its times back, so that it looks
// as it was made.
func keepTimes(t *testing.T, path string, change func(f *os.File)) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	change(f)
	require.NoError(t, f.Close())
	require.NoError(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
}

// flip flips a bit of the file's byte at.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	keepTimes(t, path, func(f *os.File) {
		b := make([]byte, 1)
		_, err := f.ReadAt(b, at)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte{b[0] ^ 4}, at)
		require.NoError(t, err)
	})
}

// about reads, and with a change writes, what a snapshot says of itself.
func about(t *testing.T, dir string, change func(about map[string]any)) map[string]any {
	t.Helper()
	path := filepath.Join(dir, "snapshot.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	said := map[string]any{}
	require.NoError(t, json.Unmarshal(text, &said))
	if change != nil {
		change(said)
		text, err := json.Marshal(said)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	return said
}

// sampled is the place of a page of the memory that is looked at on opening.
func sampled(t *testing.T, dir string) int64 {
	t.Helper()
	pages := about(t, dir, nil)["sample"].(map[string]any)["pages"].([]any)
	return int64(pages[len(pages)/2].(float64))
}

// mark is inherited by all that the test starts from now on; QEMUs with it are
// found by qemus.
func mark(t *testing.T) string {
	t.Helper()
	text := fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), os.Getpid())
	t.Setenv("SWITCHYARD_TEST_MARK", text)
	return "SWITCHYARD_TEST_MARK=" + text
}

// qemus are the QEMUs that inherited mark.
func qemus(t *testing.T, mark string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	require.NoError(t, err)
	for _, path := range all {
		dir := filepath.Dir(path)
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(env, []byte(mark)) {
			continue
		}
		argv, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.Contains(argv, []byte("qemu-system")) && !bytes.Contains(argv, []byte("__switchyard_role")) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

// forge puts a snapshot into the cache that is sealed as any other: what from
// holds, changed.
func forge(t *testing.T, st *store.Store, name, from string, change func(dir string)) {
	t.Helper()
	require.NoError(t, st.Remove(t.Context(), store.Entry{Kind: goldenKind, Name: name}))
	_, err := st.Make(t.Context(), goldenKind, name, func(_ context.Context, dir string) error {
		copyTree(t, from, dir)
		require.NoError(t, os.Remove(filepath.Join(dir, ".switchyard-manifest.json")))
		change(dir)
		return nil
	})
	require.NoError(t, err)
}
