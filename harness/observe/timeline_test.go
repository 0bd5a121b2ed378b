// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = int64(time.Millisecond)

func edge(t int64, patch, edge, to string) Event {
	return Event{Clock: Guest, T: t * ms, Kind: KindTransition, Transition: &Transition{Patch: patch, Edge: edge, To: to, SincePrev: 10 * ms}}
}

func exact(t int64, edge string) Event {
	return Event{Clock: Guest, T: t * ms, Kind: KindTransition, Transition: &Transition{Edge: edge, Exact: true}}
}

func sample(t int64, left int) Event {
	return Event{Clock: Guest, T: t * ms, Kind: KindSample, Sample: &Sample{Patch: "p", Left: left, Total: 9}}
}

func TestPhases(t *testing.T) {
	watch := Event{Clock: Guest, T: 0, Kind: KindWatch, Watch: &Watch{Rounds: true}}
	round := func(t int64) Event { return Event{Clock: Guest, T: t * ms, Kind: KindRound, Round: &Round{}} }
	events := Timeline{
		watch,
		edge(100, "p", EdgeStart, Apply), sample(100, 3), sample(110, 1),
		{Clock: Host, T: 105 * ms, Kind: KindRound, Round: &Round{}}, // another clock: not of this transition
		{Clock: Guest, T: 1120 * ms, Kind: KindTask, Task: &Task{TID: 7}},
		edge(1120, "p", EdgeEnd, Apply),
		// The tracer's ring is read later than sysfs, so its events come late.
		exact(94, EdgeStart), round(95), round(1100), exact(1101, EdgeEnd),
		edge(2000, "p", EdgeStart, Revert), round(2000), sample(2000, 5),
		{Clock: Guest, T: 2900 * ms, Kind: KindSignal, Signal: &Signal{Source: "klog"}},
		sample(3000, 4),
	}
	phases := events.Phases()
	require.Len(t, phases, 2)
	apply, revert := phases[0], phases[1]
	require.True(t, apply.Done())
	require.Equal(t, Apply, apply.To)
	require.Equal(t, 94*ms, apply.Start, "the kernel's own stamp")
	require.Equal(t, 1101*ms, apply.AllSwitched)
	require.Equal(t, 1026*time.Millisecond, apply.Took())
	require.Equal(t, 2, *apply.Rounds)
	require.Len(t, apply.Samples, 2)
	require.Len(t, apply.Tasks, 1, "seen by the look that saw the end")
	require.Zero(t, apply.Left())

	require.False(t, revert.Done())
	require.Equal(t, time.Second, revert.Took(), "up to the last sample")
	require.Equal(t, 4, revert.Left())
	require.Equal(t, 1, *revert.Rounds)
	require.Equal(t, []int64{2900 * ms}, revert.Signals)
}

func TestPhasesOfReversalAndReplace(t *testing.T) {
	events := Timeline{
		{Kind: KindWatch, Watch: &Watch{Rounds: false}},
		edge(1, "p", EdgeStart, Apply), edge(5, "p", EdgeReverse, Revert), edge(9, "p", EdgeEnd, Revert),
		edge(20, "q", EdgeStart, Apply), edge(30, "q", EdgeEnd, Apply), edge(31, "p", EdgeReplaced, Revert),
		edge(40, "r", EdgeEnd, Revert), // an end without a beginning
	}
	phases := events.Phases()
	require.Len(t, phases, 2)
	require.True(t, phases[0].Reversed)
	require.Equal(t, Revert, phases[0].To)
	require.Nil(t, phases[0].Rounds, "unknown, not 0")
	require.False(t, phases[1].Reversed)
}

// TestExactStart: the kernel's stamp of another transition's start is not taken;
// that of one which a look came too early for is.
func TestExactStart(t *testing.T) {
	look, end := edge(100, "p", EdgeStart, Apply), edge(120, "p", EdgeEnd, Apply) // 10 ms after the look before each
	for _, c := range []struct {
		name   string
		events Timeline
		want   int64
	}{
		{"between two looks", Timeline{exact(91, EdgeStart), look}, 91},
		{"after the look", Timeline{look, exact(101, EdgeStart)}, 100},
		{"the look before came inside of it", Timeline{look, end, exact(89, EdgeStart), exact(95, EdgeEnd)}, 89},
		{"it ends later", Timeline{look, end, exact(50, EdgeStart), exact(119, EdgeEnd)}, 50},
		{"nobody knows that it went on", Timeline{exact(50, EdgeStart), look}, 100},
		{"it was over", Timeline{exact(50, EdgeStart), exact(60, EdgeEnd), look, end, exact(119, EdgeEnd)}, 100},
		{"another came between", Timeline{exact(50, EdgeStart), exact(60, EdgeEnd), look, end, exact(85, EdgeStart), exact(119, EdgeEnd)}, 85},
		{"it was the phase's before, and the other stamps are lost", Timeline{
			edge(30, "q", EdgeStart, Apply), edge(70, "q", EdgeEnd, Apply), exact(25, EdgeStart), look, end, exact(119, EdgeEnd)}, 100},
	} {
		phases := c.events.Phases()
		require.Equal(t, c.want*ms, phases[len(phases)-1].Start, c.name)
	}
}

// TestRoundOfAShortTransition: a look inside of klp_init_transition() saw nothing
// yet, and the next one came when the round was over.
func TestRoundOfAShortTransition(t *testing.T) {
	events := Timeline{
		{Clock: Guest, Kind: KindWatch, Watch: &Watch{Rounds: true}},
		exact(89, EdgeStart), edge(100, "p", EdgeStart, Revert),
		{Clock: Guest, T: 95 * ms, Kind: KindRound, Round: &Round{N: 1}},
		exact(96, EdgeEnd), edge(300, "p", EdgeEnd, Revert),
	}
	p := events.Phases()[0]
	require.Equal(t, []int64{95 * ms}, p.Tries)
	require.Equal(t, 96*ms, p.AllSwitched)
}

func TestQueries(t *testing.T) {
	events := Timeline{sample(1, 1), edge(2, "p", EdgeStart, Apply), sample(3, 0), {Clock: Host, T: 2 * ms, Kind: KindSample}}
	require.Len(t, events.Kind(KindSample), 3)
	require.Len(t, events.Between(Guest, 2*ms, 3*ms), 2)
	require.Empty(t, Timeline(nil).Phases())
}
