// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/tree/treetest"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// deps and kits are those that all tests on sources use.
var (
	deps = treetest.Deps
	kits = treetest.Kits
)

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
