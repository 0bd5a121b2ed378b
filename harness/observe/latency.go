// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The geometry of histograms of latency: ns, told apart by 128 ns or by one in
// a hundred, whichever is more, up to 100 s.
const (
	LatencyLowest  = 128
	LatencyHighest = 100_000_000_000
	LatencyFigures = 2
	// LatencyBuckets is how many counts such a histogram has.
	LatencyBuckets = 24 * 128
)

// mostOperations bounds the counts of one histogram, so that sums of many
// stay within an int64.
const mostOperations = 1 << 40

// NewLatency is an empty histogram of that geometry.
func NewLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(LatencyLowest, LatencyHighest, LatencyFigures)
}

// Latency is how long operations took. Its numbers are the counts of a
// histogram's buckets from the first one on, as HdrHistogram's V2 encoding has
// them: a negative one is that many buckets without a count; those after the
// last have none.
type Latency []int64

// LatencyOf packs counts.
func LatencyOf(counts []int64) (l Latency) {
	empty := int64(0)
	for _, n := range counts {
		if n <= 0 {
			empty++
			continue
		}
		if empty > 0 {
			l = append(l, -empty)
			empty = 0
		}
		l = append(l, n)
	}
	return l
}

// Histogram unpacks l. It may come from a hostile guest: the error says what
// no histogram of ours has.
func (l Latency) Histogram() (*hdrhistogram.Histogram, error) {
	counts := make([]int64, LatencyBuckets)
	at, sum := int64(0), int64(0)
	for _, n := range l {
		if n < 0 {
			if n < -LatencyBuckets || at-n > LatencyBuckets {
				return nil, fmt.Errorf("a histogram of latency with more than %d buckets", LatencyBuckets)
			}
			at -= n
			continue
		}
		if at >= LatencyBuckets {
			return nil, fmt.Errorf("a histogram of latency with more than %d buckets", LatencyBuckets)
		}
		if n > mostOperations-sum {
			return nil, fmt.Errorf("a histogram of latency with more than %d operations", int64(mostOperations))
		}
		counts[at] = n
		at, sum = at+1, sum+n
	}
	return hdrhistogram.Import(&hdrhistogram.Snapshot{
		LowestTrackableValue: LatencyLowest, HighestTrackableValue: LatencyHighest, SignificantFigures: LatencyFigures, Counts: counts,
	}), nil
}
