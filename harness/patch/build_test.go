// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

const testdata = "../../cases/testdata"

// tested are kernels with headers and BTF, so that both routes can be taken
// and compared; the cases take other kernels' modules through their guests.
const tested = "6.1,6.12"

// bench is a builder on the default cache and a kit for each tested kernel.
func bench(t testing.TB, cache string) (*patch.Builder, []*kernels.Kit) {
	t.Helper()
	shared, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(shared, nil)
	require.NoError(t, err)
	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive)}}
	found, err := catalogue.Select(t.Context(), tested)
	require.NoError(t, err)
	var kits []*kernels.Kit
	for _, c := range found {
		kit, err := catalogue.Get(t.Context(), c)
		require.NoError(t, err)
		kits = append(kits, kit)
	}
	modules := shared
	if cache != "" {
		modules, err = store.Open(cache)
		require.NoError(t, err)
	}
	return &patch.Builder{Store: modules, Archive: archive, Root: func(ctx context.Context) (*toolroot.Root, error) {
		return toolroot.Open(ctx, shared, archive)
	}}, kits
}

func build(t testing.TB, b *patch.Builder, path string, kit *kernels.Kit) (*patch.Module, error) {
	t.Helper()
	src, err := patch.Open(path)
	require.NoError(t, err)
	return b.Build(t.Context(), src, kit)
}

// TestBuild builds the patches of the cases and reads back what they patch.
func TestBuild(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for _, kit := range kits {
		for _, c := range []struct {
			folder    string
			functions []patch.Function
			replace   bool
		}{
			{"cmdline", []patch.Function{{Object: "vmlinux", Name: "cmdline_proc_show", NewName: "patched_cmdline_proc_show"}}, false},
			{"replace", []patch.Function{{Object: "vmlinux", Name: "version_proc_show", NewName: "patched_version_proc_show"}}, true},
			{"target", []patch.Function{{Object: "switchyard_target", Name: "target_show", NewName: "patched_target_show"}}, false},
			{"target/with/switchyard_target.c", nil, false},
			{"several", []patch.Function{
				{Object: "vmlinux", Name: "cmdline_proc_show", NewName: "new_one"},
				{Object: "vmlinux", Name: "version_proc_show", Sympos: 1, NewName: "new_two"},
				{Object: "dummy", Name: "dummy_xmit", Sympos: 2, NewName: "new_one"},
			}, true},
		} {
			t.Run(kit.Release+"/"+c.folder, func(t *testing.T) {
				path := filepath.Join(testdata, c.folder)
				if c.folder == "several" {
					path = "testdata/several"
				}
				m, err := build(t, b, path, kit)
				require.NoError(t, err)
				require.False(t, m.Cached)
				require.Equal(t, c.functions, m.Manifest.Functions)
				require.Equal(t, c.replace, m.Manifest.Replace)
				require.Equal(t, c.functions != nil, m.Manifest.Patches())
				require.NoError(t, m.CheckVermagic(kit))

				again, err := build(t, b, path, kit)
				require.NoError(t, err)
				require.True(t, again.Cached, "built a second time though nothing changed")
				require.Equal(t, m.SHA256, again.SHA256)
			})
		}
	}
}

// TestBuildIsReproducible: the same sources in another folder and another
// cache give the same bytes.
func TestBuildIsReproducible(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	one, err := build(t, b, filepath.Join(testdata, "cmdline"), kits[0])
	require.NoError(t, err)
	elsewhere := filepath.Join(t.TempDir(), "cmdline")
	require.NoError(t, os.CopyFS(elsewhere, os.DirFS(filepath.Join(testdata, "cmdline"))))
	b, _ = bench(t, t.TempDir())
	two, err := build(t, b, elsewhere, kits[0])
	require.NoError(t, err)
	require.Equal(t, one.SHA256, two.SHA256)
}

// TestCompilerMessages: an error names the user's own file and line, and
// leaves nothing in the cache or beside the source.
func TestCompilerMessages(t *testing.T) {
	cache := t.TempDir()
	b, kits := bench(t, cache)
	dir := filepath.Join(t.TempDir(), "broken")
	require.NoError(t, os.Mkdir(dir, 0o755))
	file := filepath.Join(dir, "broken.c")
	require.NoError(t, os.WriteFile(file, []byte("#include <linux/module.h>\nint f(void) { return nowhere; }\n"), 0o644))
	_, err := build(t, b, dir, kits[0])
	var failed *patch.BuildError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.First, file+":2:")
	require.Contains(t, failed.First, "nowhere")
	require.Contains(t, failed.Log, failed.First)

	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	entries, err := os.ReadDir(filepath.Join(cache, "modules"))
	if err == nil {
		require.Empty(t, entries)
	}
}

// TestOtherKernelsModule: a .ko of another kernel is told before a boot.
func TestOtherKernelsModule(t *testing.T) {
	b, kits := bench(t, "")
	m, err := build(t, b, filepath.Join(testdata, "cmdline"), kits[0])
	require.NoError(t, err)
	other, err := build(t, b, m.Path, kits[1])
	require.NoError(t, err)
	err = other.CheckVermagic(kits[1])
	var input *patch.InputError
	require.ErrorAs(t, err, &input)
	require.Contains(t, err.Error(), kits[0].Release)
	require.Contains(t, err.Error(), kits[1].Release)
}

// TestDamagedModule: any cut or garbled .ko gives an error, not a panic.
func TestDamagedModule(t *testing.T) {
	b, kits := bench(t, "")
	m, err := build(t, b, filepath.Join(testdata, "cmdline"), kits[0])
	require.NoError(t, err)
	ko, err := os.ReadFile(m.Path)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "cmdline.ko")
	for _, damaged := range [][]byte{nil, []byte("text"), ko[:60], ko[:len(ko)/2]} {
		require.NoError(t, os.WriteFile(path, damaged, 0o644))
		_, err := build(t, b, path, kits[0])
		var input *patch.InputError
		require.ErrorAs(t, err, &input)
	}
}
