// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSolve(t *testing.T) {
	f := newFake(t)
	f.add("gcc", "14", nil, "Depends: cpp (= 14) , libc6:any (>= 2) | musl, awk", "Pre-Depends: base")
	f.add("cpp", "13", nil, "Depends: not-there-any-more")
	f.add("cpp", "14", nil)
	f.add("libc6", "2.41", nil, "Depends: gcc-base")
	f.add("gcc-base", "1", nil, "Depends: gcc") // a circle
	f.add("musl", "1", nil)
	f.add("gawk", "5", nil, "Provides: awk")
	f.add("mawk", "1.3", nil, "Provides: awk (= 2), other")
	f.add("base", "1", nil, "Depends: nothing | heavy | cpp")
	f.add("heavy", "1", nil, "Depends: heavier")
	f.add("heavier", "1", nil)
	f.add("broken", "1", nil, "Depends: nowhere")
	f.add("makes", "1", nil, "Depends: awk")
	f.publish()
	a := f.archive()
	for _, c := range []struct{ roots, without, want []string }{
		{[]string{"musl"}, nil, []string{"musl"}},
		{[]string{"gcc"}, nil, []string{"base", "cpp", "gawk", "gcc", "gcc-base", "heavier", "heavy", "libc6"}},
		{[]string{"gcc"}, []string{"heavy"}, []string{"base", "cpp", "gawk", "gcc", "gcc-base", "libc6"}},
		{[]string{"makes", "mawk"}, nil, []string{"makes", "mawk"}}, // wanted by name, so no other awk
		{[]string{"makes"}, []string{"gawk", "mawk"}, []string{"makes"}},
	} {
		got, err := a.Solve(t.Context(), c.roots, c.without)
		require.NoError(t, err)
		var names []string
		for _, p := range got {
			names = append(names, p.Name)
			assert.NotEmpty(t, p.SHA256)
			assert.Equal(t, "trixie", p.Suite)
			if p.Name == "cpp" {
				assert.Equal(t, "14", p.Version, "the newest")
			}
		}
		assert.Equal(t, c.want, names)
	}
	_, err := a.Solve(t.Context(), []string{"absent"}, nil)
	require.ErrorContains(t, err, "absent")
	_, err = a.Solve(t.Context(), []string{"broken"}, nil)
	require.ErrorContains(t, err, "nowhere")
}
