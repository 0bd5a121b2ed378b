// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRest: an idle watcher whom the kernel wakes looks seldom, and at once when
// something was traced; while there may be a transition, in one, and on a kernel
// that does not wake it, it looks as often as it is told to.
func TestRest(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	watcherOf := func(names ...string) *watcher {
		var o Options
		o.defaults()
		return &watcher{Options: o, rounds: &rounds{pipe: int(r.Fd()), names: names}}
	}
	// Looks that are over are left out: here none is, on a busy host either.
	soon := func() int64 { return now() + int64(100*time.Millisecond) }
	last := soon()

	idle := watcherOf(traceStart)
	require.Equal(t, last+int64(restPeriod), idle.rest(last))
	require.Zero(t, idle.alert)

	deaf := watcherOf(traceRound)
	last = soon()
	require.Equal(t, last+int64(deaf.IdlePeriod), deaf.rest(last))

	_, err = w.Write([]byte("x"))
	require.NoError(t, err)
	last = now() + int64(time.Hour)
	woken := idle.rest(last)
	require.Less(t, woken, last)
	require.Equal(t, woken+int64(alertness), idle.alert)
	last = soon()
	idle.alert = last
	require.Equal(t, last+int64(idle.IdlePeriod), idle.rest(last), "a transition may be under way")

	busy := watcherOf(traceStart)
	last = soon()
	busy.active, busy.began = &patch{}, last
	require.Equal(t, last+int64(busy.Period), busy.rest(last))
	last = soon()
	busy.began = last - int64(steep) - 1
	require.Equal(t, last+int64(busy.IdlePeriod), busy.rest(last))
}
