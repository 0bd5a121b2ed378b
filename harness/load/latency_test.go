// SPDX-License-Identifier: Apache-2.0

package load

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestBucketOf: a value is counted where the library counts it.
func TestBucketOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(
			rapid.SampledFrom([]int64{0, 1, 127, 128, 32767, 32768, 65535, 65536, observe.LatencyHighest}),
			rapid.Int64Range(0, observe.LatencyHighest), rapid.Int64Range(0, 1e7),
		).Draw(t, "ns")
		h := observe.NewLatency()
		if err := h.RecordValue(v); err != nil {
			t.Fatal(err)
		}
		if want, got := slices.Index(h.Export().Counts, 1), bucketOf(v); want != got {
			t.Fatalf("%d ns is in bucket %d, not in %d", v, want, got)
		}
	})
	require.Equal(t, bucketOf(observe.LatencyHighest), bucketOf(math.MaxInt64))
	require.Zero(t, bucketOf(-1))
	require.Less(t, bucketOf(math.MaxInt64), observe.LatencyBuckets)
}

// TestLatencyReader: each operation is told once.
func TestLatencyReader(t *testing.T) {
	c := NewCounter()
	var r latencyReader
	require.Empty(t, r.next(&c.m.latency))
	c.Op(100 * time.Microsecond)
	c.Op(100 * time.Microsecond)
	c.Op(3 * time.Millisecond)
	h, err := r.next(&c.m.latency).Histogram()
	require.NoError(t, err)
	require.EqualValues(t, 3, h.TotalCount())
	require.InEpsilon(t, 100e3, h.ValueAtQuantile(50), 0.01)
	require.InEpsilon(t, 3e6, h.Max(), 0.01)
	require.Empty(t, r.next(&c.m.latency))
	c.Op(time.Hour) // is the longest that there is
	h, err = r.next(&c.m.latency).Histogram()
	require.NoError(t, err)
	require.EqualValues(t, 1, h.TotalCount())
	require.InEpsilon(t, observe.LatencyHighest, h.Max(), 0.01)
}

// BenchmarkOp is what counting costs a load for each operation.
func BenchmarkOp(b *testing.B) {
	c := NewCounter()
	for b.Loop() {
		began := time.Now()
		c.Op(time.Since(began))
	}
}

// BenchmarkReading is what telling costs the agent for each load.
func BenchmarkReading(b *testing.B) {
	c := NewCounter()
	var r latencyReader
	for b.Loop() {
		for i := range 300 {
			c.m.latency.record(100_000 + int64(i*i)*20)
		}
		r.next(&c.m.latency)
	}
}
