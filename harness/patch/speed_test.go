// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// BenchmarkBuild is the cost of a module by each route, in CPU seconds of this
// process and of all that it starts; the kernel's types are at hand, as they
// are from the second module on.
//
//	go test ./harness/patch -run '^$' -bench Build -benchtime 5x
func BenchmarkBuild(b *testing.B) {
	builder, kits := bench(b, b.TempDir())
	text, err := os.ReadFile(filepath.Join(testdata, "hold", "with", "switchyard_hold.c"))
	require.NoError(b, err)
	for _, route := range []patch.Route{patch.RouteKbuild, patch.RouteBTF} {
		b.Run(string(route), func(b *testing.B) {
			by := *builder
			by.Route = route
			_, err := build(b, &by, filepath.Join(testdata, "cmdline"), kits[0])
			require.NoError(b, err)
			before := cpuSeconds(b)
			for i := range b.N {
				dir := filepath.Join(b.TempDir(), "hold")
				// Another text each time, lest it be found in the cache.
				write(b, dir, map[string]string{"switchyard_hold.c": fmt.Sprintf("%s/* %d of %d */\n", text, i, b.N)})
				m, err := build(b, &by, dir, kits[0])
				require.NoError(b, err)
				require.False(b, m.Cached)
			}
			b.ReportMetric((cpuSeconds(b)-before)/float64(b.N), "cpu-s/op")
		})
	}
}

func cpuSeconds(b *testing.B) (sum float64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(who, &u))
		for _, t := range []syscall.Timeval{u.Utime, u.Stime} {
			sum += float64(t.Sec) + float64(t.Usec)/1e6
		}
	}
	return sum
}
