// SPDX-License-Identifier: Apache-2.0

package lateness

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// durations are drawn evenly over the octaves, with some beyond both ends.
var durations = rapid.Custom(func(t *rapid.T) int64 {
	return rapid.Int64Range(-10, 1<<rapid.IntRange(1, 40).Draw(t, "octave")).Draw(t, "ns")
})

// TestIndexIsHDR: a value is counted where the library counts it, and a bucket
// begins where the library says.
func TestIndexIsHDR(t *testing.T) {
	one := func(t require.TestingT, ns int64) {
		hdr := hdrhistogram.New(Lowest, Highest, Digits)
		require.NoError(t, hdr.RecordValue(min(max(ns, 0), Highest)))
		counts := hdr.Export().Counts
		require.Len(t, counts, Buckets)
		index := Index(ns)
		require.EqualValues(t, 1, counts[index], "%d ns in bucket %d", ns, index)
		require.Equal(t, hdr.Distribution()[index].From, Floor(index))
	}
	for _, ns := range []int64{math.MinInt64, -1, 0, 1, 127, 128, 255, 256, 257, 511, 512, Highest - 1, Highest, Highest + 1, math.MaxInt64} {
		one(t, ns)
	}
	rapid.Check(t, func(t *rapid.T) { one(t, durations.Draw(t, "ns")) })
}

// TestFloors: every bucket begins behind the one before it, is its own, and is
// less than a hundredth of its value wide.
func TestFloors(t *testing.T) {
	for i := range Buckets {
		require.Equal(t, i, Index(Floor(i)), "bucket %d", i)
		if i == 0 {
			continue
		}
		width := Floor(i) - Floor(i-1)
		require.Positive(t, width)
		require.Equal(t, i-1, Index(Floor(i)-1))
		require.LessOrEqual(t, width, max(1, Floor(i)/100), "bucket %d", i)
	}
	require.Zero(t, Floor(-1))
	require.Zero(t, Floor(Buckets))
}

func drawn(t *rapid.T, name string) Histogram {
	var counts [Buckets]uint64
	for _, ns := range rapid.SliceOfN(durations, 0, 40).Draw(t, name) {
		counts[Index(ns)] += rapid.Uint64Range(1, 1000).Draw(t, "n")
	}
	return Of(counts[:])
}

// TestHistogramText: what is written is read; merging is adding one by one, in
// any order; what was added can be taken out.
func TestHistogramText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawn(t, "a"), drawn(t, "b")
		text, err := json.Marshal(map[string]Histogram{"h": a})
		require.NoError(t, err)
		var back map[string]Histogram
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, a, back["h"])

		both := Merge(a, b)
		require.Equal(t, a.Count()+b.Count(), both.Count())
		require.Equal(t, both, Merge(b, a))
		one, rest := a, both
		for _, bucket := range b {
			one = one.Add(bucket.NS, bucket.N)
			rest = rest.Add(bucket.NS, -bucket.N)
		}
		require.Equal(t, both, one)
		require.ElementsMatch(t, a, rest)
	})
}

// TestHostileHistogram: a text that no histogram wrote is refused, and changes
// nothing.
func TestHostileHistogram(t *testing.T) {
	for name, text := range map[string]string{
		"words":           "nonsense",
		"no count":        "128",
		"none":            "128:0",
		"fewer":           "128:-1",
		"backwards":       "129:1 128:1",
		"twice":           "128:1 128:1",
		"not a bucket":    "257:1",
		"negative":        "-1:1",
		"beyond":          "68719476736:1",
		"too many in all": "1:9007199254740991 2:2",
		"a third part":    "128:1:1",
		"endless":         string(make([]byte, 1<<20)),
	} {
		h := Histogram{{5, 5}}
		require.Error(t, h.UnmarshalText([]byte(text)), name)
		require.Equal(t, Histogram{{5, 5}}, h, name)
	}
}

func FuzzHistogram(f *testing.F) {
	f.Add("0:1 128:7 68182605824:3")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var h Histogram
		if h.UnmarshalText([]byte(text)) != nil {
			return
		}
		again, err := h.MarshalText()
		require.NoError(t, err)
		var back Histogram
		require.NoError(t, back.UnmarshalText(again))
		require.Equal(t, h, back)
	})
}
