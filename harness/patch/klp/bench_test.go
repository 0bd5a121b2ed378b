// SPDX-License-Identifier: Apache-2.0

package klp_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// deps are those of the default cache.
func deps(t testing.TB) klp.Deps {
	t.Helper()
	shared, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(shared, nil)
	require.NoError(t, err)
	return klp.Deps{Store: shared, Root: func(ctx context.Context) (*toolroot.Root, error) {
		return toolroot.Open(ctx, shared, archive)
	}}
}

// compile gives the compiler's own output for a C file, with each function in
// a section of its own and without objtool's additions, as what a diff's back
// end works on. beside are files that it includes.
func compile(t testing.TB, k *kernels.Kit, path string, beside ...string) *object.Object {
	t.Helper()
	d := deps(t)
	root, err := d.Root(t.Context())
	require.NoError(t, err)
	work := t.TempDir()
	name := strings.TrimSuffix(filepath.Base(path), ".c")
	for _, from := range append([]string{path}, beside...) {
		rel, err := filepath.Rel(filepath.Dir(path), from)
		require.NoError(t, err)
		require.NoError(t, store.CopyFile(from, filepath.Join(work, rel)))
	}
	kbuild := "obj-m := " + name + ".o\nOBJECT_FILES_NON_STANDARD := y\n"
	require.NoError(t, os.WriteFile(filepath.Join(work, "Kbuild"), []byte(kbuild), 0o644))
	var log bytes.Buffer
	job := toolroot.Job{
		Argv: []string{"make", "-C", k.HeadersDir, "M=/build", "CC=gcc-14", "HOSTCC=gcc-14",
			"KCFLAGS=-ffunction-sections -fdata-sections -g0", name + ".o"},
		Dir: "/build", Stdout: &log, Stderr: &log,
		Mounts: []toolroot.Bind{{Host: work, Inside: "/build", Writable: true}},
	}
	for _, m := range k.Mounts {
		job.Mounts = append(job.Mounts, toolroot.Bind{Host: m.Host, Inside: m.Inside})
	}
	require.NoError(t, root.Run(t.Context(), job), "%s", &log)
	o, err := object.Open(filepath.Join(work, name+".o"))
	require.NoError(t, err)
	return o
}

// unexported says of each undefined symbol that is not exported that it is
// owner's only one of its name.
func unexported(t testing.TB, k *kernels.Kit, o *object.Object, owner string) map[*object.Symbol]klp.Symbol {
	t.Helper()
	exported, err := klp.Exported(k)
	require.NoError(t, err)
	all := map[*object.Symbol]klp.Symbol{}
	for _, s := range o.Symbols {
		if s.Undefined() && s.Name != "" && !exported[s.Name] {
			all[s] = klp.Symbol{Object: owner, Name: s.Name}
		}
	}
	return all
}

// eachKernel is about kernels that modules can be built for: of some the
// image alone is there.
func eachKernel(t *testing.T, do func(t *testing.T, k *kernels.Kit)) {
	t.Helper()
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		if k.HeadersDir == "" {
			t.Skipf("%s has no headers to build modules with", k.Release)
		}
		do(t, k)
	})
}
