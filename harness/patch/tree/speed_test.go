// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/tree"
)

// BenchmarkCompile is what the objects for a patch of one function cost, in CPU
// seconds of this process and of all that it starts: the first time (flags, the
// file as it was built, before and after with its types), after an edit of the
// patch (after), and when nothing changed. The source is unpacked.
//
//	go test ./harness/patch/tree -run '^$' -bench Compile -benchtime 3x
func BenchmarkCompile(b *testing.B) {
	const source = "net/core/sock.c"
	for _, kit := range kits(b) {
		d := deps(b)
		tr, err := tree.Open(b.Context(), d, kit) // unpacks, if need be
		require.NoError(b, err)
		text := read(b, tr, source)
		objects := func(b *testing.B, d tree.Deps, edit string) {
			tr, err := tree.Open(b.Context(), d, kit)
			require.NoError(b, err)
			units, err := tr.Units(b.Context(), source)
			require.NoError(b, err)
			overlay := map[string][]byte{source: []byte(text + edit)}
			for _, j := range []tree.Job{{AsBuilt: true}, {Debug: true}, {Overlay: overlay, Debug: true}} {
				j.Units = units
				_, err := tr.Compile(b.Context(), j)
				require.NoError(b, err)
			}
		}
		for _, c := range []struct {
			name string
			once func(b *testing.B, i int)
		}{
			{"first", func(b *testing.B, i int) {
				fresh := d
				fresh.Store = scratchStore(b, d.Store)
				objects(b, fresh, "")
			}},
			{"edit", func(b *testing.B, i int) { objects(b, d, fmt.Sprintf("/* %d %v */\n", i, time.Now().UnixNano())) }},
			{"nothing", func(b *testing.B, i int) { objects(b, d, "/* the same */\n") }},
		} {
			b.Run(kit.Release+"/"+c.name, func(b *testing.B) {
				objects(b, d, "/* the same */\n")
				before := cpuSeconds(b)
				for i := range b.N {
					c.once(b, i)
				}
				b.ReportMetric((cpuSeconds(b)-before)/float64(b.N), "cpu-s/op")
			})
		}
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
