// SPDX-License-Identifier: Apache-2.0

package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

const ms = 1e6

// story is a timeline of the guest while it is written.
type story observe.Timeline

func (s *story) add(t int64, e observe.Event) {
	e.Clock, e.T = observe.Guest, t
	*s = append(*s, e)
}

func (s *story) tracing(patch string, replace bool, names ...string) {
	p := observe.TracedPatch{Patch: patch, Replace: replace}
	for _, n := range names {
		p.Functions = append(p.Functions, observe.TracedFunction{Object: "vmlinux", Name: n, New: "new_" + n})
	}
	s.add(0, observe.Event{Kind: observe.KindTracing, Tracing: &observe.Tracing{TracedPatch: p, Exact: true}})
}

// transition is from start until the core found all switched at done; its end
// is seen 5 ms later.
func (s *story) transition(patch, to string, start, done int64) {
	edge := func(t int64, tr observe.Transition) {
		s.add(t, observe.Event{Kind: observe.KindTransition, Transition: &tr})
	}
	edge(start, observe.Transition{Edge: observe.EdgeStart, Exact: true})
	edge(start+ms, observe.Transition{Patch: patch, Edge: observe.EdgeStart, To: to, SincePrev: 5 * ms})
	if done != 0 {
		edge(done, observe.Transition{Edge: observe.EdgeEnd, Exact: true})
		edge(done+5*ms, observe.Transition{Patch: patch, Edge: observe.EdgeEnd, To: to, SincePrev: 5 * ms})
	}
}

// calls are n of f that ran version, from first to last.
func (s *story) calls(f, version string, n uint64, first, last int64, moving bool) {
	s.add(last, observe.Event{Kind: observe.KindCalls, Calls: &observe.Calls{From: first, Moving: moving, Counts: []observe.CallCount{
		{Object: "vmlinux", Name: f, Version: version, Caller: "caller", Context: observe.InKThread, N: n, First: first, Last: last},
	}}})
	s.add(first, observe.Event{Kind: observe.KindCall, Call: &observe.Call{Object: "vmlinux", Name: f, Version: version, Caller: "caller", Context: observe.InKThread, TID: 7, Comm: "t"}})
}

func (s *story) lost(n uint64) {
	s.add(0, observe.Event{Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostCalls, N: n}})
}

func (s *story) unseen(f, why string) {
	s.add(0, observe.Event{Kind: observe.KindTracing, Tracing: &observe.Tracing{Unseen: map[string]string{f: why}}})
}

// TestCallsOf: which calls are late, which functions nobody called, and when
// nothing is concluded.
func TestCallsOf(t *testing.T) {
	for name, c := range map[string]struct {
		tell        func(*story)
		late        map[string]uint64 // by function
		unexercised []string
		void        bool
	}{
		"as it should be": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.calls("f", "", 5, 1*ms, 90*ms, false)
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.calls("f", "", 3, 101*ms, 199*ms, true)
			s.calls("f", "p", 3, 102*ms, 198*ms, true)
			s.calls("f", "p", 3, 202*ms, 299*ms, false)
			s.transition("p", observe.Revert, 300*ms, 400*ms)
			s.calls("f", "p", 3, 301*ms, 399*ms, true)
			s.calls("f", "", 3, 402*ms, 500*ms, false)
		}},
		"an old call after the apply": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.calls("f", "", 2, 202*ms, 250*ms, false)
			s.calls("f", "p", 2, 202*ms, 250*ms, false)
		}, late: map[string]uint64{"f": 2}},
		"a new call after the revert": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.transition("p", observe.Revert, 300*ms, 400*ms)
			s.calls("f", "p", 2, 402*ms, 450*ms, false)
		}, late: map[string]uint64{"f": 2}},
		"an old call while it stalls": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.transition("p", observe.Apply, 100*ms, 0)
			s.calls("f", "", 2, 202*ms, 250*ms, true)
		}},
		"an old call of another's function": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.tracing("q", false, "g")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.calls("g", "", 2, 202*ms, 250*ms, false)
			s.calls("f", "p", 2, 202*ms, 250*ms, false)
		}},
		"the lower one's of a stack": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.tracing("q", false, "f")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.calls("f", "p", 2, 202*ms, 250*ms, false)
			s.transition("q", observe.Apply, 300*ms, 400*ms)
			s.calls("f", "p", 4, 402*ms, 450*ms, false)
			s.transition("q", observe.Revert, 500*ms, 600*ms)
			s.calls("f", "p", 8, 602*ms, 650*ms, false)
		}, late: map[string]uint64{"f": 4}},
		"what was replaced": {tell: func(s *story) {
			s.tracing("p", false, "f")
			s.tracing("q", true, "g")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.transition("q", observe.Apply, 300*ms, 400*ms)
			s.calls("f", "", 4, 402*ms, 450*ms, false)
			s.calls("f", "p", 1, 402*ms, 450*ms, false)
		}, late: map[string]uint64{"f": 1}, unexercised: []string{"vmlinux:g"}},
		"called before and after only": {tell: func(s *story) {
			s.tracing("p", false, "f", "g")
			s.calls("f", "", 5, 1*ms, 90*ms, false)
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.transition("p", observe.Revert, 300*ms, 400*ms)
			s.calls("f", "", 5, 402*ms, 500*ms, false)
		}, unexercised: []string{"vmlinux:f", "vmlinux:g"}},
		"never applied": {tell: func(s *story) { s.tracing("p", false, "f") }},
		"records were lost": {tell: func(s *story) {
			s.tracing("p", false, "f", "g")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.calls("f", "", 2, 202*ms, 250*ms, false)
			s.lost(3)
		}, void: true},
		"a function that cannot be seen": {tell: func(s *story) {
			s.tracing("p", false, "f", "g")
			s.unseen("vmlinux:f", "no fentry site")
			s.transition("p", observe.Apply, 100*ms, 200*ms)
			s.calls("f", "", 2, 202*ms, 250*ms, false)
			s.calls("g", "p", 2, 202*ms, 250*ms, false)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var s story
			c.tell(&s)
			got := CallsOf(observe.Timeline(s))
			require.NotNil(t, got)
			late := map[string]uint64{}
			for _, f := range got.Functions {
				if got.Void == "" && f.Unseen == "" && f.AfterCompletion > 0 {
					late[f.Name] = f.AfterCompletion
				}
			}
			if c.late == nil {
				c.late = map[string]uint64{}
			}
			require.Equal(t, c.late, late)
			require.Len(t, got.Wrong(), len(c.late))
			require.ElementsMatch(t, c.unexercised, got.Unexercised)
			require.Equal(t, c.void, got.Void != "")
			if len(late) > 0 {
				require.NotEmpty(t, got.Late)
				require.Contains(t, got.Wrong()[0], "t/7")
			}
		})
	}
}

// TestCallsOfNobody: a run without the tracing has no calls, and one whose
// kernel cannot be traced says so.
func TestCallsOfNobody(t *testing.T) {
	require.Nil(t, CallsOf(nil))
	require.Empty(t, CallsOf(nil).Wrong())
	require.Empty(t, CallsOf(nil).warnings())
	var s story
	s.add(0, observe.Event{Kind: observe.KindTracing, Tracing: &observe.Tracing{
		TracedPatch: observe.TracedPatch{Patch: "p", Functions: []observe.TracedFunction{{Object: "vmlinux", Name: "f"}}}, Why: "no function tracing",
	}})
	got := CallsOf(observe.Timeline(s))
	require.Equal(t, "no function tracing", got.Void)
	require.Len(t, got.warnings(), 1)
}

// TestCallsAddUp: the figures are those of the counts.
func TestCallsAddUp(t *testing.T) {
	var s story
	s.tracing("p", false, "f")
	s.calls("f", "", 5, 1*ms, 90*ms, false)
	s.calls("f", "", 2, 91*ms, 95*ms, false)
	s.transition("p", observe.Apply, 100*ms, 200*ms)
	s.calls("f", "p", 7, 203*ms, 290*ms, false)
	s.calls("unknown", "p", 7, 203*ms, 290*ms, false) // no agent of ours says so
	got := CallsOf(observe.Timeline(s))
	require.EqualValues(t, 7, got.Old)
	require.EqualValues(t, 7, got.New)
	require.EqualValues(t, 95*ms, got.LastOldNS)
	f := got.Functions[0]
	require.EqualValues(t, 203*ms, f.FirstNewNS)
	require.EqualValues(t, 95*ms, f.LastOldNS)
	require.Equal(t, []Caller{{"caller", 14}}, f.Callers)
	require.Equal(t, map[string]uint64{observe.InKThread: 14}, f.Contexts)
	require.Equal(t, map[string]uint64{"p": 7}, f.Versions)
}
