// SPDX-License-Identifier: Apache-2.0

package lateness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"
)

// The windows of a run, in order; a slab counts each for itself.
const (
	Baseline = "baseline" // before anything is patched
	Apply    = "apply"
	Patched  = "patched"
	Revert   = "revert"
	After    = "after" // nothing is patched any more
)

// Windows are all of them; their places here are their numbers in a slab.
var Windows = []string{Baseline, Apply, Patched, Revert, After}

// Period is from one deadline to the next.
const Period = time.Millisecond

// MostCPUs bounds the CPUs of a slab.
const MostCPUs = 64

// kept is how many of the latest deadlines of a CPU and window are kept with
// their time, to be held against what the host took meanwhile.
const kept = 128

// A slab is words of 64 bits: a header, eight for each CPU, and a block for
// each window and CPU. The kernel module of the second witness
// (harness/run/pulse) has the same, so change both.
const (
	slabMagic = 0x3145_5441_4c59_5753 // "SWYLATE1"

	headMagic, headCPUs, headPeriod, headWindow = 0, 1, 2, 3
	headWords                                   = 8

	cpuArmed, cpuDeadline, cpuError = 0, 1, 2 // armed: 1 + the window that the next deadline counts to
	cpuWords                        = 8

	blockCount, blockMissed, blockLongest, blockKept, blockLeast, blockUnkept = 0, 1, 2, 3, 4, 5
	blockWords                                                                = 8
	blockCounts                                                               = blockWords + 2*kept
	blockSize                                                                 = blockCounts + Buckets
)

// Size is how many bytes a slab of so many CPUs has.
func Size(cpus int) int {
	return 8 * (headWords + cpus*cpuWords + len(Windows)*cpus*blockSize)
}

// Slab is the memory in which a witness counts while others look.
type Slab struct {
	words []uint64
	cpus  int
}

// NewSlab makes a slab of memory, which must be zeros and Size(cpus) long.
func NewSlab(memory []byte, cpus int) (*Slab, error) {
	if cpus < 1 || cpus > MostCPUs || len(memory) != Size(cpus) {
		return nil, fmt.Errorf("a slab of %d CPUs in %d bytes", cpus, len(memory))
	}
	s := &Slab{unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/8), cpus}
	s.words[headCPUs], s.words[headPeriod] = uint64(cpus), uint64(Period)
	s.words[headMagic] = slabMagic
	return s, nil
}

// OpenSlab finds the slab in memory, which a witness has made.
func OpenSlab(memory []byte) (*Slab, error) {
	if len(memory) < 8*headWords || binary.NativeEndian.Uint64(memory) != slabMagic {
		return nil, errors.New("not a slab of counted lateness")
	}
	cpus := binary.NativeEndian.Uint64(memory[8*headCPUs:])
	if cpus < 1 || cpus > MostCPUs || len(memory) != Size(int(cpus)) {
		return nil, fmt.Errorf("a slab that says it is of %d CPUs, in %d bytes", cpus, len(memory))
	}
	return &Slab{unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/8), int(cpus)}, nil
}

// CPUs is how many the slab is for.
func (s *Slab) CPUs() int { return s.cpus }

// SetWindow has deadlines that are armed from now on count to a window.
func (s *Slab) SetWindow(window int) { atomic.StoreUint64(&s.words[headWindow], uint64(window)) }

// Armed is the window to which the next deadline of a CPU counts; -1 if the
// witness has never armed one there.
func (s *Slab) Armed(cpu int) int {
	return int(atomic.LoadUint64(&s.words[headWords+cpu*cpuWords+cpuArmed])) - 1
}

// Error is the error number with which a CPU's witness gave up, 0 if it did
// not.
func (s *Slab) Error(cpu int) int {
	return int(atomic.LoadUint64(&s.words[headWords+cpu*cpuWords+cpuError]))
}

// Late is one deadline: when it was and how late, in ns.
type Late struct{ Deadline, NS int64 }

// Reading is what was counted on one CPU in one window.
type Reading struct {
	Count, Missed int64
	LongestNS     int64
	Histogram     Histogram
	// Kept are the latest with their time; those missed behind one are in
	// Histogram and not here. UnkeptNS is the latest that is not kept, 0 if all
	// are.
	Kept     []Late
	UnkeptNS int64
}

// Read reads a window of a CPU, while it is counted or after. What cannot have
// been counted is not given: the memory may be a kernel module's.
func (s *Slab) Read(window, cpu int) (r Reading) {
	block := s.block(window, cpu)
	load := func(i int) int64 { return int64(min(atomic.LoadUint64(&block[i]), math.MaxInt64)) }
	n := int(min(load(blockKept), kept))
	for i := range n {
		r.Kept = append(r.Kept, Late{load(blockWords + 2*i), load(blockWords + 2*i + 1)})
	}
	r.UnkeptNS, r.Missed, r.LongestNS = load(blockUnkept), load(blockMissed), load(blockLongest)
	var counts [Buckets]uint64
	for i := range counts {
		counts[i] = uint64(min(load(blockCounts+i), 1<<40))
	}
	r.Histogram = Of(counts[:])
	r.Count = r.Histogram.Count()
	return r
}

//go:nosplit
func (s *Slab) block(window, cpu int) []uint64 {
	from := headWords + s.cpus*cpuWords + (window*s.cpus+cpu)*blockSize
	return s.words[from : from+blockSize : from+blockSize]
}

// record counts a deadline that was so late, and those after it that had
// passed by then; it gives the first that has not. It allocates nothing and
// calls nothing that could give up the CPU: see probe.
//
//go:nosplit
func record(block []uint64, deadline, now, period int64) int64 {
	late := now - deadline
	keep(block, deadline, late)
	if late > int64(block[blockLongest]) {
		block[blockLongest] = uint64(late)
	}
	for {
		block[blockCounts+Index(late)]++
		block[blockCount]++
		deadline += period
		if late -= period; late < 0 {
			return deadline
		}
		block[blockMissed]++
	}
}

// keep notes a deadline with its time if it is among the latest.
//
//go:nosplit
func keep(block []uint64, deadline, late int64) {
	n, at := int(block[blockKept]), 0
	switch {
	case n < kept:
		at = n
		block[blockKept]++
	case late > int64(block[blockWords+2*block[blockLeast]+1]):
		at = int(block[blockLeast])
		block[blockUnkept] = block[blockWords+2*at+1]
	default:
		if late > int64(block[blockUnkept]) {
			block[blockUnkept] = uint64(late)
		}
		return
	}
	block[blockWords+2*at], block[blockWords+2*at+1] = uint64(deadline), uint64(late)
	if n+1 < kept {
		return
	}
	least := 0
	for i := 1; i < kept; i++ {
		if block[blockWords+2*i+1] < block[blockWords+2*least+1] {
			least = i
		}
	}
	block[blockLeast] = uint64(least)
}
