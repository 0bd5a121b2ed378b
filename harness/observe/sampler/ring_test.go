// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Whatever is emitted and read in whatever pieces: events come in order, and
// each is either given or counted as lost.
func TestRingGivesOrCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRing(rapid.IntRange(1, 20).Draw(t, "size"))
		emitted, seq, given, lost := uint64(0), uint64(0), uint64(0), uint64(0)
		for range rapid.IntRange(1, 30).Draw(t, "turns") {
			for range rapid.IntRange(1, 40).Draw(t, "burst") {
				r.Emit(observe.Event{T: int64(emitted + 1), Kind: observe.KindWatch})
				emitted++
			}
			events, missed, err := r.Next(context.Background(), seq, make([]observe.Event, 0, rapid.IntRange(1, 30).Draw(t, "batch")))
			require.NoError(t, err)
			require.NotEmpty(t, events)
			lost += missed
			given += uint64(len(events))
			require.Equal(t, seq+missed+1, events[0].Seq)
			for _, e := range events {
				require.Equal(t, int64(e.Seq), e.T)
				seq = e.Seq
			}
		}
		require.Equal(t, seq, given+lost)
	})
}

func TestRingWaits(t *testing.T) {
	r := NewRing(4)
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan []observe.Event)
	go func() {
		events, _, _ := r.Next(ctx, 0, make([]observe.Event, 0, 4))
		got <- events
		_, _, err := r.Next(ctx, 1, nil)
		require.ErrorIs(t, err, context.Canceled)
		close(got)
	}()
	r.Emit(observe.Event{Kind: observe.KindSample}) // not urgent: told in a moment all the same
	require.Len(t, <-got, 1)
	cancel()
	<-got
}
