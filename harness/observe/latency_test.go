// SPDX-License-Identifier: Apache-2.0

package observe_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestLatencyRoundTrip: what was recorded comes back, packed.
func TestLatencyRoundTrip(t *testing.T) {
	require.Len(t, observe.NewLatency().Export().Counts, observe.LatencyBuckets)
	rapid.Check(t, func(t *rapid.T) {
		want := observe.NewLatency()
		for _, v := range rapid.SliceOfN(rapid.Int64Range(0, observe.LatencyHighest), 0, 50).Draw(t, "values") {
			if err := want.RecordValue(v); err != nil {
				t.Fatal(err)
			}
		}
		packed := observe.LatencyOf(want.Export().Counts)
		got, err := packed.Histogram()
		if err != nil || !got.Equals(want) {
			t.Fatalf("%v: %v", packed, err)
		}
	})
}

// TestLatencyOfAHostileGuest: whatever a guest says of it, a histogram or an error.
func TestLatencyOfAHostileGuest(t *testing.T) {
	for text, l := range map[string]observe.Latency{
		"buckets":    {-observe.LatencyBuckets, 1},
		"more than":  {math.MinInt64, math.MinInt64},
		"operations": {math.MaxInt64, math.MaxInt64},
	} {
		_, err := l.Histogram()
		require.ErrorContains(t, err, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		h, err := observe.Latency(rapid.SliceOf(rapid.Int64()).Draw(t, "counts")).Histogram()
		if err == nil && h.TotalCount() < 0 {
			t.Fatal("a negative number of operations")
		}
	})
}
