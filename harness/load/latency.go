// SPDX-License-Identifier: Apache-2.0

package load

import (
	"math/bits"
	"sync/atomic"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// latencyMemory is a histogram of observe's geometry in shared memory, where
// the library's own cannot lie: recording is two additions, whoever reads, and
// needs no lock that a process that is killed might hold.
type latencyMemory struct {
	rows   [observe.LatencyBuckets / rowSize]atomic.Uint32 // changes of each row of counts
	counts [observe.LatencyBuckets]atomic.Uint32
}

// A row is what doubles in value: most operations of a load fall into few.
const rowSize = 1 << rowBits

// The layout of HdrHistogram's counts for observe.LatencyLowest and
// LatencyFigures.
const (
	unitBits = 7 // observe.LatencyLowest is 1 << unitBits
	rowBits  = 7
)

// bucketOf is the index of the count of v ns: countsIndexFor of the library,
// which keeps it to itself. A test holds the two against each other.
func bucketOf(v int64) int {
	u := uint64(min(max(v, 0), observe.LatencyHighest))
	const mask = (2*rowSize - 1) << unitBits
	bucket := 64 - bits.LeadingZeros64(u|mask) - unitBits - rowBits - 1
	return (bucket+1)<<rowBits + int(u>>(bucket+unitBits)) - rowSize
}

func (m *latencyMemory) record(ns int64) {
	i := bucketOf(ns)
	m.counts[i].Add(1)
	m.rows[i/rowSize].Add(1)
}

// latencyReader tells what is new in a latencyMemory.
type latencyReader struct {
	rows   [observe.LatencyBuckets / rowSize]uint32
	counts [observe.LatencyBuckets]uint32
}

// next is what was recorded since it was called before.
func (r *latencyReader) next(m *latencyMemory) observe.Latency {
	var fresh [observe.LatencyBuckets]int64
	last := 0
	for i := range r.rows {
		changes := m.rows[i].Load()
		if changes == r.rows[i] {
			continue
		}
		r.rows[i] = changes
		for j := i * rowSize; j < (i+1)*rowSize; j++ {
			n := m.counts[j].Load()
			fresh[j], r.counts[j] = int64(n-r.counts[j]), n
		}
		last = (i + 1) * rowSize
	}
	return observe.LatencyOf(fresh[:last])
}
