// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/report"
)

// TestAnyNumbers: a page is made of whatever numbers a report has; it may be
// anybody's.
func TestAnyNumbers(t *testing.T) {
	ns := rapid.OneOf(
		rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 53, 1e9}),
		rapid.Int64(), rapid.Int64Range(0, 1e11),
	)
	n := rapid.OneOf(rapid.SampledFrom([]int{0, 1, -1, math.MaxInt64, math.MinInt64}), rapid.IntRange(0, 1000))
	phase := rapid.Custom(func(t *rapid.T) *report.Phase {
		stack := n.Draw(t, "stack")
		p := &report.Phase{
			Done: rapid.Bool().Draw(t, "done"), GuestNS: ns.Draw(t, "ns"), StartNS: ns.Draw(t, "start"), TurnedNS: ns.Draw(t, "turned"),
			Way:      rapid.SampledFrom([]string{"", report.WayApply, report.WayReversal, "sideways"}).Draw(t, "way"),
			RoundsNS: rapid.SliceOfN(ns, 0, 4).Draw(t, "rounds"), SignalsNS: rapid.SliceOfN(ns, 0, 4).Draw(t, "signals"),
			Stacks: [][]string{{"f+0x1/0x2"}},
			Lanes:  []report.Lane{{PID: n.Draw(t, "pid"), Looks: []report.Look{{GuestNS: ns.Draw(t, "look"), Stack: &stack}}}},
		}
		for range rapid.IntRange(0, 4).Draw(t, "samples") {
			p.Samples = append(p.Samples, report.Sample{GuestNS: ns.Draw(t, "at"), TasksLeft: n.Draw(t, "left")})
		}
		return p
	})
	rapid.Check(t, func(t *rapid.T) {
		l := report.Load{Name: "x", RateBefore: rapid.Float64().Draw(t, "rate")}
		for range rapid.IntRange(0, 4).Draw(t, "readings") {
			l.Readings = append(l.Readings, report.Reading{GuestNS: ns.Draw(t, "at"), Ops: rapid.Uint64().Draw(t, "ops")})
		}
		r := report.Report{Runs: []report.Run{{
			Transition: report.Transition{Apply: phase.Draw(t, "apply"), Revert: phase.Draw(t, "revert")},
			Load:       []report.Load{l}, KernelLog: []report.LogLine{{GuestNS: ns.Draw(t, "log")}},
		}}}
		require.NoError(t, r.WriteHTML(io.Discard))
	})
}
