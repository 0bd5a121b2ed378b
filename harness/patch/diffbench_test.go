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

	"github.com/switchyard-project/switchyard/kernels/store"
)

// BenchmarkDiff is from a one-function diff to its module, in CPU seconds of
// this process and all that it starts, the source being unpacked: the first of
// a kernel (whose flags and objects are not known yet), one after an edit of
// the diff, and the same diff again.
func BenchmarkDiff(b *testing.B) {
	text, err := os.ReadFile(filepath.Join(diffs, "fs-cmdline.patch"))
	require.NoError(b, err)
	shared, kits := bench(b, "")
	edited := func(b *testing.B, edit string) string {
		path := filepath.Join(b.TempDir(), "edit.patch")
		require.NoError(b, os.WriteFile(path, []byte(strings.Replace(string(text), "{live}", edit, 1)), 0o644))
		return path
	}
	for _, kit := range kits {
		_, err := build(b, shared, filepath.Join(diffs, "fs-cmdline.patch"), kit) // unpacks, if need be
		require.NoError(b, err)
		once := func(name string, do func(b *testing.B, i int)) {
			b.Run(kit.Release+"/"+name, func(b *testing.B) {
				before := cpuSeconds(b)
				for i := range b.N {
					do(b, i)
				}
				b.ReportMetric((cpuSeconds(b)-before)/float64(b.N), "cpu-s/op")
			})
		}
		once("first", func(b *testing.B, _ int) {
			fresh := *shared
			var err error
			fresh.Store, err = store.Open(b.TempDir())
			require.NoError(b, err)
			const sources = "linux-source"
			require.NoError(b, os.Symlink(filepath.Join(shared.Store.Dir, sources), filepath.Join(fresh.Store.Dir, sources)))
			m, err := build(b, &fresh, filepath.Join(diffs, "fs-cmdline.patch"), kit)
			require.NoError(b, err)
			require.False(b, m.Cached)
		})
		once("edit", func(b *testing.B, i int) {
			m, err := build(b, shared, edited(b, fmt.Sprintf("%d of %d", i, time.Now().UnixNano())), kit)
			require.NoError(b, err)
			require.False(b, m.Cached)
		})
		once("nothing", func(b *testing.B, _ int) {
			m, err := build(b, shared, filepath.Join(diffs, "fs-cmdline.patch"), kit)
			require.NoError(b, err)
			require.True(b, m.Cached)
		})
	}
}
