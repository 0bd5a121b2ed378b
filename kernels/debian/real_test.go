// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// realCatalogue is of the real archive with the default cache, which the
// tests of other packages fill as well.
func realCatalogue(t *testing.T) (*kernels.Catalogue, *Archive) {
	t.Helper()
	if testing.Short() {
		t.Skip("uses the real archive")
	}
	st, err := store.Open("")
	require.NoError(t, err)
	a, err := NewArchive(st, nil)
	require.NoError(t, err)
	return &kernels.Catalogue{Providers: []kernels.Provider{NewProvider(a)}}, a
}

// unlessLacking skips a test that has no network and no cache.
func unlessLacking(t *testing.T, err error) {
	t.Helper()
	if kernels.IsLacking(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

// The two kernels of the main job, as the archive has them today.
func TestRealKits(t *testing.T) {
	cat, _ := realCatalogue(t)
	for _, c := range []struct {
		selector string
		virtio   bool // a module of its own
		can      []kernels.Capability
		cannot   []kernels.Capability
	}{
		{"6.1", true, []kernels.Capability{kernels.Livepatch, kernels.VirtioModules, kernels.FtraceRegs, kernels.ORC, kernels.BTF, kernels.PVPanic},
			[]kernels.Capability{kernels.SysfsReplace, kernels.IBT, kernels.NineP, kernels.CompressedModules, kernels.SlowDynamicPreemptTCG}},
		{"6.12", false, []kernels.Capability{kernels.Livepatch, kernels.SysfsReplace, kernels.IBT, kernels.CompressedModules, kernels.SlowDynamicPreemptTCG, kernels.VMGenID},
			[]kernels.Capability{kernels.VirtioModules, kernels.SysfsStackOrder, kernels.NineP}},
	} {
		t.Run(c.selector, func(t *testing.T) {
			found, err := cat.Select(t.Context(), c.selector)
			unlessLacking(t, err)
			require.Len(t, found, 1)
			kit, err := cat.Get(t.Context(), found[0])
			unlessLacking(t, err)
			assert.Equal(t, c.selector, kernels.Series(kit.Version))
			assert.Equal(t, "cloud-amd64", kit.Flavour)

			f, err := os.Open(kit.VMLinux)
			require.NoError(t, err)
			defer f.Close()
			ok, err := kernels.HasPVHNote(f)
			require.NoError(t, err)
			assert.True(t, ok)

			for _, name := range c.can {
				assert.True(t, kit.Can(name), name)
			}
			for _, name := range c.cannot {
				assert.False(t, kit.Can(name), name)
			}
			files, builtin, err := kit.ModuleFiles("virtio_console", "virtio-pci", "pvpanic-pci")
			require.NoError(t, err)
			if c.virtio {
				assert.Empty(t, builtin)
			} else {
				assert.Equal(t, []string{"virtio_console", "virtio-pci"}, builtin)
			}
			require.NotEmpty(t, files)
			ko, err := kernels.ReadModule(files[len(files)-1])
			require.NoError(t, err)
			magic, err := kernels.Vermagic(ko)
			require.NoError(t, err)
			assert.Contains(t, magic, kit.Release)

			require.NotEmpty(t, kit.HeadersDir)
			assert.FileExists(t, filepath.Join(kit.Dir, kit.HeadersDir, "Makefile"))
			for _, m := range kit.Mounts {
				assert.DirExists(t, m.Host)
			}
		})
	}
}

func TestRealList(t *testing.T) {
	cat, _ := realCatalogue(t)
	all, err := cat.List(t.Context())
	unlessLacking(t, err)
	flavours := map[string]bool{}
	series := map[string]bool{}
	for _, c := range all {
		flavours[c.Flavour] = true
		series[kernels.Series(c.Version)] = true
		assert.NotContains(t, c.Release, "unsigned")
	}
	assert.Equal(t, map[string]bool{"cloud-amd64": true, "amd64": true}, flavours)
	assert.Contains(t, series, "6.1")
	assert.Contains(t, series, "6.12")
}

// BenchmarkWarmList is what a look at the catalogue costs when nothing has to
// be asked for: it should stay far below 50 ms.
func BenchmarkWarmList(b *testing.B) {
	st, err := store.Open("")
	require.NoError(b, err)
	begin := time.Now()
	for b.Loop() {
		a, err := NewArchive(st, nil)
		require.NoError(b, err)
		_, err = (&kernels.Catalogue{Providers: []kernels.Provider{NewProvider(a)}}).List(b.Context())
		if kernels.IsLacking(err) {
			b.Skip(err)
		}
		require.NoError(b, err)
	}
	b.ReportMetric(float64(time.Since(begin).Milliseconds())/float64(b.N), "ms/list")
}
