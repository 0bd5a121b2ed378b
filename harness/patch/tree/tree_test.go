// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/source"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// kernelsVariable chooses other kernels than these two, which every check of
// the project has at hand: "all", "5.10,7.3".
const kernelsVariable = "SWITCHYARD_TREE_KERNELS"

// deps are those of the default cache.
func deps(t testing.TB) tree.Deps {
	t.Helper()
	st, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	var once sync.Mutex
	var root *toolroot.Root
	return tree.Deps{Store: st, Archive: archive, Root: func(ctx context.Context) (*toolroot.Root, error) {
		once.Lock()
		defer once.Unlock()
		if root == nil {
			root, err = toolroot.Open(ctx, st, archive)
		}
		return root, err
	}}
}

// kits are the tested kernels.
func kits(t testing.TB) (all []*kernels.Kit) {
	t.Helper()
	d := deps(t)
	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(d.Archive), &source.Provider{Store: d.Store, Root: d.Root}}}
	chosen := os.Getenv(kernelsVariable)
	if chosen == "" {
		chosen = "6.1,6.12"
	}
	found, err := catalogue.Select(t.Context(), chosen)
	require.NoError(t, err)
	for _, c := range found {
		kit, err := catalogue.Get(t.Context(), c)
		require.NoError(t, err)
		all = append(all, kit)
	}
	return all
}

func open(t testing.TB, kit *kernels.Kit) *tree.Tree {
	t.Helper()
	tr, err := tree.Open(t.Context(), deps(t), kit)
	require.NoError(t, err)
	return tr
}

func notBuilt(err error) bool {
	var r *refusal.Refusal
	return errors.As(err, &r) && r.Code == refusal.NotBuilt
}

// scratchStore is an empty cache with the sources of another one.
func scratchStore(t testing.TB, from *store.Store) *store.Store {
	t.Helper()
	st, err := store.Open(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Symlink(filepath.Join(from.Dir, "linux-source"), filepath.Join(st.Dir, "linux-source")))
	return st
}

// TestRead is about names of files.
func TestRead(t *testing.T) {
	tr := open(t, kits(t)[0])
	text, err := tr.Read("fs/proc/cmdline.c")
	require.NoError(t, err)
	require.Contains(t, string(text), "cmdline_proc_show")
	for _, name := range []string{"fs/proc/none.c", "/etc/passwd", "../" + filepath.Base(tr.Kit.Dir) + "/config", "fs/../../x"} {
		_, err := tr.Read(name)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
	}
	dir, err := tr.Extract(t.Context(), "tools/testing/selftests/livepatch")
	require.NoError(t, err)
	scripts, err := filepath.Glob(filepath.Join(dir, "test-*.sh"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(scripts), 4)
	_, err = tr.Extract(t.Context(), "tools/testing/selftests/none")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
