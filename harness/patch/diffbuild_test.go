// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

const diffs = testdata + "/diffs"

// TestDiffBuilds: a diff becomes a module once, the same to the byte, and from
// the cache at once; its manifest says what came of it.
func TestDiffBuilds(t *testing.T) {
	b, kits := bench(t, "")
	for _, kit := range kits {
		t.Run(kit.Release, func(t *testing.T) {
			m, err := build(t, b, filepath.Join(diffs, "fs-cmdline.patch"), kit)
			require.NoError(t, err)
			require.Equal(t, patch.RouteDiff, m.Manifest.Route)
			require.True(t, m.Manifest.Livepatch)
			require.False(t, m.Manifest.Replace)
			require.Len(t, m.Manifest.Functions, 1)
			require.Equal(t, "vmlinux", m.Manifest.Functions[0].Object)
			require.Equal(t, "cmdline_proc_show", m.Manifest.Functions[0].Name)
			require.NoError(t, m.CheckVermagic(kit))
			made := m.Manifest.Diff
			require.Equal(t, "fs/proc/cmdline.c", made.Files[0].Name)
			require.Len(t, made.Files[0].Hunks, 1)
			require.True(t, made.Functions[0].Patched)
			require.NotZero(t, made.Functions[0].Was)

			began := time.Now()
			again, err := build(t, b, filepath.Join(diffs, "fs-cmdline.patch"), kit)
			require.NoError(t, err)
			require.True(t, again.Cached)
			require.Equal(t, m.SHA256, again.SHA256)
			require.Equal(t, made, again.Manifest.Diff)
			t.Logf("from the cache: %v", time.Since(began))

			src, err := patch.OpenAs(filepath.Join(diffs, "fs-cmdline.patch"), patch.DiffOptions{Replace: true})
			require.NoError(t, err)
			r, err := b.Build(t.Context(), src, kit)
			require.NoError(t, err)
			require.True(t, r.Manifest.Replace)
		})
	}
}

// TestDiffWarns: what the running kernel may keep of a patch is told.
func TestDiffWarns(t *testing.T) {
	b, kits := bench(t, "")
	for _, kit := range kits {
		t.Run(kit.Release, func(t *testing.T) {
			m, err := build(t, b, "testdata/stored.patch", kit)
			require.NoError(t, err)
			require.Len(t, m.Manifest.Warnings, 1, "%q", m.Manifest.Warnings)
			require.Contains(t, m.Manifest.Warnings[0], "teql_qdisc_init() stores the address of __msg, which is the patch's own")
			m, err = build(t, b, filepath.Join(diffs, "fs-cmdline.patch"), kit)
			require.NoError(t, err)
			require.Empty(t, m.Manifest.Warnings)
		})
	}
}

// TestRefusedDiffLeavesNothing: no module, no cache entry of one and no
// scratch folder stay of a diff that is refused, at whatever step.
func TestRefusedDiffLeavesNothing(t *testing.T) {
	b, kits := bench(t, "")
	mine := filepath.Join(b.Store.Dir, "tmp")
	for name, code := range map[string]refusal.Code{
		"data": refusal.Data, "hunk-failed": refusal.HunkFailed, "build-failed": refusal.BuildFailed, "init": refusal.InitExit, "kconfig": refusal.NotCode,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := build(t, b, filepath.Join(diffs, "refused", name+".patch"), kits[0])
			all := refusal.All(err)
			require.NotEmpty(t, all, "%v", err)
			require.Equal(t, code, all[0].Code)
			require.Equal(t, kits[0].Release, all[0].Release)
			made, err := filepath.Glob(filepath.Join(b.Store.Dir, "modules", strings.ReplaceAll(name, "-", "_")+"-*"))
			require.NoError(t, err)
			require.Empty(t, made)
			require.Empty(t, scratches(t, mine))
		})
	}
}

// scratches are this process's folders below the cache's tmp.
func scratches(t *testing.T, tmp string) (mine []string) {
	t.Helper()
	found, err := os.ReadDir(tmp)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	for _, f := range found {
		if strings.Contains(f.Name(), fmt.Sprintf("-%d-", os.Getpid())) {
			mine = append(mine, f.Name())
		}
	}
	return mine
}
