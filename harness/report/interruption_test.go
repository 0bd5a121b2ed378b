// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

const (
	us = int64(1e3)
	ms = int64(1e6)
)

func latenessEvent(l observe.Lateness) observe.Event {
	l.PeriodNS = ms
	if l.ToNS == 0 {
		l.FromNS, l.ToNS, l.OpenNS = 1e9, 2e9, 1e9
	}
	return observe.Event{Clock: observe.Guest, Kind: observe.KindLateness, T: l.ToNS, Lateness: &l}
}

func histogram(all ...int64) (h lateness.Histogram) {
	for _, ns := range all {
		h = h.Add(ns, 1)
	}
	return h
}

// offset ties a moment of the guest's to one of the host's.
func offset(guest, host, slack int64) observe.Event {
	return observe.Event{Clock: observe.Guest, T: guest, Kind: observe.KindOffset, Offset: &observe.Offset{Host: host, Slack: slack}}
}

func taken(cpus []int, spans ...observe.Span) observe.Event {
	t := &observe.Taken{Thread: 7, CPUs: cpus}
	for _, s := range spans {
		t.Add(s)
	}
	return observe.Event{Clock: observe.Host, Kind: observe.KindTaken, Taken: t}
}

func times(n int, ns int64) []int64 { return slices.Repeat([]int64{ns}, n) }

// TestPercentiles: figures are those of the values themselves to a hundredth,
// the longest to the ns, and all CPUs' are those of all values.
func TestPercentiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var timeline observe.Timeline
		var all []int64
		for cpu := range rapid.IntRange(1, 4).Draw(t, "cpus") {
			values := rapid.SliceOfN(rapid.Int64Range(0, 50*ms), 1, 200).Draw(t, "values")
			all = append(all, values...)
			timeline = append(timeline, latenessEvent(observe.Lateness{
				Witness: observe.ProbeWitness, Window: lateness.Patched, CPU: cpu, Histogram: histogram(values...), LongestNS: slices.Max(values),
				FromNS: 1e9, ToNS: 2e9, OpenNS: int64(len(values)) * ms,
			}))
		}
		i, warnings := InterruptionOf(timeline, "kvm", false)
		require.Empty(t, warnings)
		require.Nil(t, i.Baseline)
		require.Nil(t, i.Witness)
		require.Empty(t, i.Noise)
		w := i.Patched
		require.EqualValues(t, len(all), w.Count)
		require.Equal(t, slices.Max(all), w.MaxNS)
		slices.Sort(all)
		for _, p := range []struct {
			of   float64
			have int64
		}{{0.50, w.P50NS}, {0.99, w.P99NS}, {0.999, w.P999NS}} {
			want := all[min(int(p.of*float64(len(all))+0.5), len(all)-1)]
			near := all[max(int(p.of*float64(len(all))+0.5)-1, 0)]
			require.GreaterOrEqual(t, p.have+1+p.have/100, near)
			require.LessOrEqual(t, p.have-1-p.have/100, want)
		}
	})
}

// TestLaterHolds: of a window that is told twice the later tells.
func TestLaterHolds(t *testing.T) {
	one := observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Apply, Stuck: true, Histogram: histogram(us), LongestNS: us}
	two := observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Apply, Histogram: histogram(us, 9*ms), LongestNS: 9 * ms}
	i, warnings := InterruptionOf(observe.Timeline{latenessEvent(one)}, "kvm", false)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "had not come back on CPU 0 in window apply")
	require.Equal(t, us, i.Apply.MaxNS)
	i, warnings = InterruptionOf(observe.Timeline{latenessEvent(one), latenessEvent(two)}, "kvm", false)
	require.Empty(t, warnings)
	require.Equal(t, 9*ms, i.Apply.MaxNS)
}

// TestStarved: a witness that never ran is told, and is no figure of 0.
func TestStarved(t *testing.T) {
	timeline := observe.Timeline{
		latenessEvent(observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Apply, CPU: 0, Histogram: histogram(us), LongestNS: us}),
		latenessEvent(observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Apply, CPU: 1, Stuck: true}),
		latenessEvent(observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Revert, CPU: 0, Error: "operation not permitted\n"}),
		latenessEvent(observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.After, CPU: 0, FromNS: 1, ToNS: ms, OpenNS: ms}),
		latenessEvent(observe.Lateness{Witness: observe.TimerWitness, Window: lateness.Apply, CPU: 1}),
	}
	i, warnings := InterruptionOf(timeline, "kvm", false)
	require.Equal(t, []int{1}, i.Apply.Starved)
	require.EqualValues(t, 1, i.Apply.Count)
	require.Equal(t, []int{0}, i.Revert.Starved)
	require.Empty(t, i.After.Starved, "a window of one period")
	require.Equal(t, []int{1}, i.Witness.Apply.Starved)
	text := strings.Join(warnings, "\n")
	require.Contains(t, text, "the probe never ran on CPU 1 in window apply (1s of guest time)")
	require.Contains(t, text, "the probe gave up on CPU 0 in window revert (1s of guest time): operation not permitted")
	require.Contains(t, text, "the timer's interrupt never ran on CPU 1")
	require.Len(t, warnings, 3)
	shown, err := json.Marshal(i.Revert)
	require.NoError(t, err)
	require.NotContains(t, string(shown), "p50_ns")
	require.NotContains(t, string(shown), "max_ns")
}

// TestVoid: what the host took is no interruption, on the CPUs that the thread
// ran, with what passed behind it; what it took at another time is.
func TestVoid(t *testing.T) {
	// The guest's second 1 is the host's 11.
	clocks := []observe.Event{offset(1e9, 11e9, 0), offset(2e9, 12e9, 0)}
	values := append(times(97, 10*us), 3*ms+10*us, 2*ms+10*us, ms+10*us, 10*us, 700*us)
	event := func(cpu int) observe.Event {
		return latenessEvent(observe.Lateness{
			Witness: observe.ProbeWitness, Window: lateness.Baseline, CPU: cpu, Histogram: histogram(values...), LongestNS: 3*ms + 10*us, Missed: 3,
			Latest: observe.Latest{{Deadline: 1500 * ms, NS: 3*ms + 10*us}, {Deadline: 1700 * ms, NS: 700 * us}}, UnkeptNS: 10 * us,
		})
	}
	for name, c := range map[string]struct {
		spans     []observe.Span
		void, max int64
	}{
		"nothing taken":          {nil, 0, 3*ms + 10*us},
		"the long one":           {[]observe.Span{{From: 11_501 * ms, To: 11_503 * ms, Wait: 2 * ms}}, 4, 700 * us},
		"both":                   {[]observe.Span{{From: 11_501 * ms, To: 11_502 * ms, Wait: ms}, {From: 11_700 * ms, To: 11_702 * ms, Wait: 600 * us}}, 5, 10 * us},
		"at another time":        {[]observe.Span{{From: 11_400 * ms, To: 11_499 * ms, Wait: 50 * ms}}, 0, 3*ms + 10*us},
		"too little":             {[]observe.Span{{From: 11_501 * ms, To: 11_503 * ms, Wait: 200 * us}}, 0, 3*ms + 10*us},
		"only the end of a span": {[]observe.Span{{From: 11_400 * ms, To: 11_501 * ms, Wait: 90 * ms}}, 4, 700 * us},
	} {
		t.Run(name, func(t *testing.T) {
			timeline := append(observe.Timeline{event(0), event(1)}, clocks...)
			if len(c.spans) > 0 {
				timeline = append(timeline, taken([]int{1}, c.spans...))
			}
			i, _ := InterruptionOf(timeline, "kvm", false)
			w := i.Baseline
			require.Equal(t, c.void, w.CPUs[1].VoidCount)
			require.Equal(t, int64(len(values))-c.void, w.CPUs[1].Count)
			require.Equal(t, c.max, w.CPUs[1].MaxNS)
			require.Zero(t, w.CPUs[0].VoidCount, "another thread's CPU")
			require.Equal(t, c.void, w.VoidCount)
			require.Equal(t, 2*int64(len(values))-c.void, w.Count)
			require.Equal(t, w.Count, w.Histogram.Count())
			var sum int64
			for _, s := range c.spans {
				sum += s.Wait
			}
			require.Equal(t, sum, w.VoidNS)
		})
	}
}

// TestPace: two clocks of different pace are told, two that agree are not, nor
// two whose readings are no better than the difference; and what the host took
// is found by the pace of the guest's.
func TestPace(t *testing.T) {
	one := latenessEvent(observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Baseline, Histogram: histogram(times(20, 5*ms)...), LongestNS: 5 * ms,
		Latest: observe.Latest{{Deadline: 1500 * ms, NS: 5 * ms}}, UnkeptNS: us})
	for name, c := range map[string]struct {
		to, slack int64
		told      bool
	}{
		"the same":         {21e9, 0, false},
		"half the pace":    {31e9, 0, true},
		"a hundredth fast": {20_900 * ms, ms, true},
		"not to be known":  {20_900 * ms, 500 * ms, false},
	} {
		i, warnings := InterruptionOf(observe.Timeline{offset(1e9, 11e9, c.slack), one, offset(11e9, c.to, c.slack)}, "kvm", false)
		require.Equal(t, c.told, len(warnings) == 1, "%s: %v", name, warnings)
		require.NotNil(t, i.Clock, name)
		require.InDelta(t, 10e9/float64(c.to-11e9), i.Clock.Rate, 1e-5, name)
		if c.told {
			require.Contains(t, warnings[0], "the guest's clock ran at")
		}
	}
	// At half the pace, the guest's 1.5 s are the host's 12 s.
	i, _ := InterruptionOf(observe.Timeline{
		offset(1e9, 11e9, 0), one, offset(11e9, 31e9, 0), taken([]int{0}, observe.Span{From: 12_000 * ms, To: 12_009 * ms, Wait: 9 * ms}),
	}, "kvm", false)
	require.EqualValues(t, 6, i.Baseline.VoidCount)
	i, _ = InterruptionOf(observe.Timeline{one}, "kvm", true)
	require.Nil(t, i.Clock)
	require.True(t, i.Virtual)
}

// TestNoise: an emulator and a busy host are told, by virtual time neither is.
func TestNoise(t *testing.T) {
	timeline := observe.Timeline{
		offset(1e9, 11e9, 0), offset(2e9, 12e9, 0),
		latenessEvent(observe.Lateness{Witness: observe.ProbeWitness, Window: lateness.Baseline, Histogram: histogram(us), LongestNS: us}),
		taken([]int{0}, observe.Span{From: 11e9, To: 12e9, Wait: 250 * ms}),
	}
	i, _ := InterruptionOf(timeline, "tcg", false)
	require.Contains(t, i.Noise, "TCG")
	require.Contains(t, i.Noise, "for 25 % of the time")
	i, _ = InterruptionOf(timeline, "kvm", false)
	require.NotContains(t, i.Noise, "TCG")
	require.Contains(t, i.Noise, "of 1000 only 1 were asked for")
	i, _ = InterruptionOf(timeline, "tcg", true)
	require.Empty(t, i.Noise)
	i, warnings := InterruptionOf(timeline[:2], "tcg", false)
	require.Nil(t, i)
	require.Empty(t, warnings)
}

// TestLatenessOf: runs are pooled as if they had been one; those without
// figures are counted.
func TestLatenessOf(t *testing.T) {
	run := func(values ...int64) Run {
		i, _ := InterruptionOf(observe.Timeline{latenessEvent(observe.Lateness{
			Witness: observe.TimerWitness, Window: lateness.Revert, Histogram: histogram(values...), LongestNS: slices.Max(values),
		})}, "kvm", false)
		return Run{Interruption: i}
	}
	rapid.Check(t, func(t *rapid.T) {
		var runs []Run
		var all []int64
		for range rapid.IntRange(1, 5).Draw(t, "runs") {
			values := rapid.SliceOfN(rapid.Int64Range(0, 50*ms), 1, 100).Draw(t, "values")
			runs, all = append(runs, run(values...)), append(all, values...)
		}
		s := LatenessOf(append(runs, Run{}), WindowRevert, true)
		require.Len(t, s.Runs, len(runs))
		require.Equal(t, 1, s.Absent)
		require.Equal(t, run(all...).Interruption.Witness.Revert.Lateness, s.Pooled)
		require.Equal(t, histogram(all...), s.Histogram)
		for i, r := range runs {
			require.Equal(t, r.Interruption.Witness.Revert.Lateness, s.Runs[i])
		}
		require.Equal(t, len(runs), LatenessOf(runs, WindowApply, true).Absent)
		none := LatenessOf(runs, WindowRevert, false)
		require.Equal(t, len(runs), none.Absent)
		require.Zero(t, none.Pooled)
	})
}

// TestSpans: a span is told in whole us outwards, and not before the one before
// it ends.
func TestSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		taken := observe.Taken{}
		var all []observe.Span
		at := rapid.Int64Range(0, 1<<50).Draw(t, "first")
		for range rapid.IntRange(0, 20).Draw(t, "spans") {
			from := at + rapid.Int64Range(0, 5*ms).Draw(t, "gap")
			at = from + rapid.Int64Range(1, 5*ms).Draw(t, "length")
			all = append(all, observe.Span{From: from, To: at, Wait: rapid.Int64Range(1, at-from).Draw(t, "wait")})
			taken.Add(all[len(all)-1])
		}
		told := taken.All()
		require.Len(t, told, len(all))
		for i, s := range all {
			require.LessOrEqual(t, told[i].From-s.From, us)
			require.GreaterOrEqual(t, told[i].To, s.To)
			require.Less(t, told[i].To-s.To, 2*us)
			require.GreaterOrEqual(t, told[i].Wait, s.Wait)
			require.Less(t, told[i].Wait, s.Wait+us)
			if i > 0 {
				require.GreaterOrEqual(t, told[i].From, told[i-1].To)
			}
		}
	})
}

// TestInterrupted: the column of the table, of what there is.
func TestInterrupted(t *testing.T) {
	window := func(max int64) *Window { return &Window{Lateness: Lateness{Count: 1, MaxNS: max}} }
	for want, i := range map[string]*Interruption{
		"-":                     nil,
		"?, before 39 us":       {Windows: Windows{Baseline: window(39 * us), Apply: &Window{Starved: []int{0}}}},
		"7.9 ms, before ?":      {Windows: Windows{Apply: window(7900 * us), Revert: window(us), After: window(9 * ms)}},
		"12.0 ms, before 39 us": {Windows: Windows{Baseline: window(39 * us), Apply: window(us), Revert: window(12 * ms)}},
		"1.20 s, before 100 ms": {Windows: Windows{Baseline: window(100 * ms), Patched: window(1200 * ms)}},
	} {
		require.Equal(t, want, interrupted(i))
	}
}
