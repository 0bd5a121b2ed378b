// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToken(t *testing.T) {
	dir := t.TempDir()
	var now, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			release, err := Token(t.Context(), dir, 2)
			if err != nil {
				t.Error(err)
				return
			}
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			now.Add(-1)
			release()
		})
	}
	wg.Wait()
	require.LessOrEqual(t, most.Load(), int32(2))

	one, err := Token(t.Context(), dir, 2)
	require.NoError(t, err)
	two, err := Token(t.Context(), dir, 2)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*tokenPoll)
	defer cancel()
	_, err = Token(ctx, dir, 2)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "one of 2 machines")
	three, err := Token(t.Context(), dir, 3) // who allows itself more gets more
	require.NoError(t, err)
	three()
	one()
	again, err := Token(t.Context(), dir, 1)
	require.NoError(t, err)
	again()
	two()
	_, err = Token(t.Context(), dir, 0)
	require.ErrorContains(t, err, "at least 1")
}
