// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/report"
)

// window is what one witness saw: a tail from 3 us on, of that weight.
func window(weight int64) *report.Window {
	w := &report.Window{FromNS: 1, ToNS: 2}
	for i := range 40 {
		w.Histogram = w.Histogram.Add(3000<<(i/3)+int64(i%3)*700<<(i/3), 1+weight*int64(40-i))
	}
	w.Count = w.Histogram.Count()
	w.P50NS, w.P99NS, w.P999NS, w.MaxNS = 4321, 987_654, 7_654_321, w.Histogram[len(w.Histogram)-1].NS
	w.Missed, w.VoidCount, w.VoidNS, w.Starved = 3, 7, 31_000_000, []int{2, 3}
	w.CPUs = []report.CPUWindow{{CPU: 0, Lateness: w.Lateness}, {CPU: 1, Lateness: report.Lateness{Count: 1, P50NS: 999}}}
	return w
}

// everyPart gives r all that a run's page can have; names are called name.
func everyPart(r report.Report, name string) report.Report {
	run := &r.Runs[0]
	run.Interruption = &report.Interruption{
		Windows: report.Windows{Baseline: window(1000), Apply: window(7), Patched: window(500), Revert: window(3), After: window(90)},
		Witness: &report.Windows{Baseline: window(2000), Patched: window(11)}, PeriodNS: 1e6, Noise: "noisy " + name,
		Clock: &report.ClockPace{Rate: 1.0025, SpanNS: 5, SlackNS: 6}, CostNS: 123_456_789,
	}
	start := int64(0)
	if run.Transition.Apply != nil {
		start = run.Transition.Apply.StartNS
	}
	run.Calls = &report.Calls{
		Old: 3_000_000_001, New: 17, Lost: 2, LastOldNS: start + 3_000_000, Unexercised: []string{"vmlinux:" + name}, Void: "void " + name,
		Functions: []report.CalledFunction{{
			Object: "vmlinux", Name: name, Old: 3_000_000_001, New: 17, Versions: map[string]uint64{"a/b~c" + name: 17}, AfterCompletion: 1,
			FirstNewNS: start + 1_000_000, LastOldNS: start + 3_000_000, Unseen: "unseen " + name,
			Callers: []report.Caller{{Function: name + " [m]", N: 12}, {Function: "seq_read_iter", N: 5}}, Contexts: map[string]uint64{"system call": 12, "kthread": 5},
		}},
		Late:        []report.LateCall{{Function: "vmlinux:" + name, Version: name, Caller: name, Context: "kthread", Task: name, PID: 7, GuestNS: start + 9_000_000}},
		Cost:        report.CallsCost{Events: 99, CPUNS: 1_234_567},
		Consistency: &report.Consistency{Leave: "PATCHED_SET", Switch: "THREAD"},
	}
	run.Load = append(run.Load, report.Load{
		Name: name, Ops: 12, Errors: 2, FirstError: name, RateBefore: 12345.67,
		Latency:  &report.LoadLatency{Before: &report.Latency{Count: 5, P50NS: 120_321, P99NS: 3_000_111, MaxNS: 2_000_000_000}, After: &report.Latency{Count: 1, P50NS: 1, P99NS: 999_999, MaxNS: 999_999_999}},
		Readings: []report.Reading{{GuestNS: start}, {GuestNS: start + 1e8, Ops: 7, P50NS: 1000, P99NS: 2000, MaxNS: 3000}, {GuestNS: start + 2e8, Ops: 7, Errors: 2}, {GuestNS: start + 3e8, Ops: 12, Errors: 2, P50NS: 5000, P99NS: 6e6, MaxNS: 7e9}},
	})
	run.Diagnosis = []string{"a " + name + " sleeps there", "wake it"}
	run.Reason += ". " + run.Diagnosis[0]
	run.Blockers = append(run.Blockers, report.Blocker{
		Task: name, PID: 77, Kind: "kworker", Reason: "unreliable stack", Function: name, Stack: []string{name + "+0x1/0x2"}, Rounds: 3, FirstNS: 1e6, LastNS: 7e9, CPU: 1,
		Work: name, Frame: name, Witnesses: []string{"proc", "core"}, Differ: "they differ on " + name, Diagnosis: "why " + name,
	})
	if p := run.Transition.Apply; p != nil {
		p.Lanes = append(p.Lanes, report.Lane{Task: name, PID: 77, Kind: name, Looks: []report.Look{{GuestNS: 5, Reason: "unreliable stack", Frame: name, Work: name, Witnesses: []string{"core"}, Differ: name}}})
	}
	run.Observer = &report.Observer{CPUShare: 0.0123, TransitionCPUShare: 0.0345, Looks: 1234, MaxLateNS: 45_678_901, Tasks: 99}
	lo, hi := 1.5e8, 4.25e8
	r.Repeats = []report.Repeats{{
		Release: run.Kernel.Release, Patch: name, Planned: 10, Runs: 9, Until: "stalled", Found: "4-" + name,
		Verdicts: []report.VerdictShare{{Verdict: "complete", Expected: true, Count: 8, Share: 8. / 9}},
		Blockers: []report.InTheWayShare{{Kind: "kthread", Reason: name, Function: name, Count: 1}},
		Figures: []report.Figure{
			{Name: "apply.time", Unit: report.UnitNS, Runs: 9, Min: 1e8, Median: 2.5e8, Max: 5e8, Lo: &lo, Hi: &hi, Confidence: 0.96},
			{Name: "load." + name, Unit: report.UnitRate, Runs: 2, Min: 1, Median: 17.25, Max: 33.5},
		},
	}}
	return r
}

// everyDistribution: the curves of the interruption are those of its
// histograms, in proportion, on logarithmic axes.
func everyDistribution(t *testing.T, p *opened, r report.Report) {
	t.Helper()
	curves := ask[[]string](t, p, `Array.from(document.querySelectorAll("figure.distribution path[d]"), e => e.getAttribute("style") + "|" + e.getAttribute("d"))`)
	i := r.Runs[0].Interruption
	if i == nil {
		require.Empty(t, curves)
		return
	}
	for colour, name := range map[string]string{"#009E73": report.WindowBaseline, "#D55E00": report.WindowApply, "#0072B2": report.WindowPatched, "#CC79A7": report.WindowRevert} {
		var want []lateness.Histogram
		for _, witness := range []*report.Windows{&i.Windows, i.Witness} {
			if w := witness.Named(name); w != nil {
				want = append(want, w.Histogram)
			}
		}
		var got [][2][]float64
		for _, c := range curves {
			style, d, _ := strings.Cut(c, "|")
			if !strings.Contains(strings.ToUpper(style), colour) {
				continue
			}
			var x, y []float64
			for _, m := range coordinate.FindAllStringSubmatch(d, -1) {
				px, _ := strconv.ParseFloat(m[1], 64)
				py, _ := strconv.ParseFloat(m[2], 64)
				x, y = append(x, px), append(y, py)
			}
			got = append(got, [2][]float64{x, y})
		}
		require.Len(t, got, len(want), name)
		for j, h := range want {
			var ns, share []float64
			left := h.Count()
			for _, b := range h {
				ns, share = append(ns, math.Log(float64(b.NS))), append(share, math.Log(float64(left)/float64(h.Count())))
				left -= b.N
			}
			require.Len(t, got[j][0], len(ns), name)
			inProportion(t, ns, got[j][0], fmt.Sprintf("lateness in %s", name))
			inProportion(t, share, got[j][1], fmt.Sprintf("share in %s", name))
		}
	}
}
