// SPDX-License-Identifier: Apache-2.0

package run

import (
	"time"

	"github.com/switchyard-project/switchyard/harness/mailbox"
)

// shifts are the speeds of the virtual CPU that seeds choose from: 2^shift ns
// an instruction. A fork with another one than its snapshot runs, but its clock
// jumps by seconds as it goes on, so there is a snapshot for each.
var shifts = []int{1, 2, 3}

// How far seeds move things, in the guest's time. The rounds of a transition
// begin with the load of a module, some 10 ms of work; the loads' cycles are
// of a millisecond or two.
const (
	mostDelay      = 10 * time.Millisecond  // before a load's start, the patch, the revert
	mostStagger    = 2 * time.Millisecond   // between the workers of a load
	leastRest      = 200 * time.Microsecond // of a worker between two operations
	mostRest       = 2 * time.Millisecond
	nanosecondStep = 100 // finer than anything the guest's timers tell apart
)

// draws are the numbers that a seed stands for. Sebastiano Vigna's splitmix64,
// written out: a seed must mean the same with every version of Go.
// https://prng.di.unimi.it/splitmix64.c
type draws struct{ state uint64 }

func (d *draws) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is a number from 0 to n-1.
func (d *draws) below(n int) int { return int(d.next() % uint64(n)) }

// between is a time in ns.
func (d *draws) between(least, most time.Duration) int64 {
	steps := int(most-least) / nanosecondStep
	return int64(least) + int64(d.below(steps))*nanosecondStep
}

// vary moves in the plan what may move, by its seed, and gives the speed of
// the virtual CPU.
func vary(plan *mailbox.Plan) (shift int) {
	d := &draws{uint64(plan.Seed)}
	shift = shifts[d.below(len(shifts))]
	for i := len(plan.Loads) - 1; i > 0; i-- {
		k := d.below(i + 1)
		plan.Loads[i], plan.Loads[k] = plan.Loads[k], plan.Loads[i]
	}
	for i := range plan.Loads {
		l := &plan.Loads[i]
		l.DelayNS = d.between(0, mostDelay)
		l.StaggerNS = d.between(0, mostStagger)
		l.RestNS = d.between(leastRest, mostRest)
	}
	plan.BeforeApplyNS = d.between(0, mostDelay)
	plan.BeforeRevertNS = d.between(0, mostDelay)
	return shift
}
