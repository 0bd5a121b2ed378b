// SPDX-License-Identifier: Apache-2.0

package run

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestWakeParams: all tasks are woken, at no time more than the module's array
// has places for.
func TestWakeParams(t *testing.T) {
	places := regexp.MustCompile(`static int tids\[(\d+)\];`).FindSubmatch(wakeSource)
	require.NotNil(t, places)
	require.Equal(t, fmt.Sprint(mostWoken), string(places[1]))
	for _, n := range []int{0, 1, mostWoken, mostWoken + 1, 1024} {
		var all []observe.Blocker
		var want, got []string
		for tid := range n {
			all = append(all, observe.Blocker{TID: tid})
			want = append(want, fmt.Sprint(tid))
		}
		for _, params := range wakeParams(all) {
			tids, ok := strings.CutPrefix(params, "tids=")
			require.True(t, ok)
			some := strings.Split(tids, ",")
			require.LessOrEqual(t, len(some), mostWoken)
			got = append(got, some...)
		}
		require.Equal(t, want, got)
	}
}
