// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/vm"
)

// heard is a run of one patch with a probe and a load, whose guest said this.
func heard(dir string, events []observe.Event) (*testimony, error) {
	plan := Plan{Dir: dir, Patches: []*patch.Source{{Name: "p", Probes: []patch.Probe{{Read: "/proc/p", Before: "^old$", After: "^new$"}}}}}
	x := &execution{Plan: &plan, modules: []*patch.Module{{Name: "p"}}}
	if err := x.open(); err != nil {
		return nil, err
	}
	g, err := newGuest(GuestConfig{}, vm.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer g.rec.log.Close()
	x.guest = g
	t := &testimony{execution: x, plan: &mailbox.Plan{
		Seed: 7, Patches: []mailbox.Patch{{Module: mailbox.Module{Name: "p"}}}, Loads: []mailbox.Load{{Spec: load.Spec{Name: "fork"}}},
	}}
	var text []byte
	for i, e := range events {
		e.Clock, e.Seq = observe.Guest, uint64(i+1)
		line, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		text = append(append(text, line...), '\n')
	}
	file := filepath.Join(dir, resultsFile)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return t, t.hear(file)
}

func said(r mailbox.Result) observe.Event {
	raw, _ := json.Marshal(r)
	return observe.Event{T: 5, Kind: mailbox.KindResult, Raw: raw}
}

func edge(at int64, edge, to string) observe.Event {
	return observe.Event{T: at, Kind: observe.KindTransition, Transition: &observe.Transition{Patch: "p", Edge: edge, To: to}}
}

// wellDone is what a guest says in which all goes well.
func wellDone() []observe.Event {
	return []observe.Event{
		said(mailbox.Result{Began: &mailbox.Began{Seed: 7}}),
		said(mailbox.Result{Modules: &mailbox.Modules{When: mailbox.Before, Refs: map[string]int{"virtio": 1}}}),
		said(mailbox.Result{Probe: &mailbox.Probe{When: mailbox.Before, Path: "/proc/p", Text: "old"}}),
		said(mailbox.Result{Started: &mailbox.Started{ID: 3}}),
		edge(10, observe.EdgeStart, observe.Apply), edge(20, observe.EdgeEnd, observe.Apply),
		said(mailbox.Result{Followed: &mailbox.Followed{To: observe.Apply, Done: true}}),
		said(mailbox.Result{Probe: &mailbox.Probe{When: mailbox.Patched, Path: "/proc/p", Text: "new"}}),
		edge(30, observe.EdgeStart, observe.Revert), edge(45, observe.EdgeEnd, observe.Revert),
		said(mailbox.Result{Followed: &mailbox.Followed{To: observe.Revert, Done: true}}),
		said(mailbox.Result{Probe: &mailbox.Probe{When: mailbox.After, Path: "/proc/p", Text: "old"}}),
		said(mailbox.Result{Unloaded: &mailbox.Unloaded{}}),
		said(mailbox.Result{Modules: &mailbox.Modules{When: mailbox.After, Refs: map[string]int{"virtio": 1}}}),
		said(mailbox.Result{Stopped: &observe.Load{ID: 3, Ops: 9}}),
		said(mailbox.Result{Over: &mailbox.Over{}}),
	}
}

// toldOf is the report of a run whose guest said that.
func toldOf(t require.TestingT, of *testimony) report.Run {
	r, err := of.close(of.judge(nil))
	require.NoError(t, err)
	return r
}

func TestTestimony(t *testing.T) {
	good, err := heard(t.TempDir(), wellDone())
	require.NoError(t, err)
	require.True(t, good.over)
	r := toldOf(t, good)
	require.EqualValues(t, check.VerdictComplete, r.Verdict, r.Reason)
	require.EqualValues(t, 10, r.Transition.Apply.GuestNS)
	require.EqualValues(t, 15, r.Transition.Revert.GuestNS)
	require.EqualValues(t, 9, r.Load[0].Ops)
	require.EqualValues(t, 10, good.applied[0].apply.Phase.Took())
	require.EqualValues(t, 15, good.applied[0].revert.Phase.Took())
	require.EqualValues(t, 9, good.loads[0].final.Ops)

	// Each in the place of one of the good ones.
	for name, c := range map[string]struct {
		at   int
		say  observe.Event
		want check.Verdict
	}{
		"old code while patched": {7, said(mailbox.Result{Probe: &mailbox.Probe{When: mailbox.Patched, Path: "/proc/p", Text: "old"}}), check.VerdictIneffective},
		"no probe":               {7, said(mailbox.Result{Probe: &mailbox.Probe{When: mailbox.Patched, Path: "/proc/p", Error: "no such file"}}), check.VerdictIneffective},
		"a leaked module":        {13, said(mailbox.Result{Modules: &mailbox.Modules{When: mailbox.After, Refs: map[string]int{"virtio": 1, "q": 0}}}), check.VerdictLeaked},
		"a leaked reference":     {13, said(mailbox.Result{Modules: &mailbox.Modules{When: mailbox.After, Refs: map[string]int{"virtio": 2}}}), check.VerdictLeaked},
		"a patch that stays":     {13, said(mailbox.Result{Modules: &mailbox.Modules{When: mailbox.After, Livepatches: []string{"p"}}}), check.VerdictLeaked},
		"no unload":              {12, said(mailbox.Result{Unloaded: &mailbox.Unloaded{Error: "busy"}}), check.VerdictLeaked},
		"a wrong result":         {14, said(mailbox.Result{Stopped: &observe.Load{ID: 3, Ops: 9, Errors: 1}}), check.VerdictInconsistent},
		"a stuck load":           {5 + 3, said(mailbox.Result{Stuck: &mailbox.Stuck{ID: 3}}), check.VerdictIneffective}, // and no revert
		"a stall":                {9, said(mailbox.Result{}), check.VerdictStalled},
		"a refusal":              {4, said(mailbox.Result{Refused: &mailbox.Refused{Errno: syscall.EINVAL}}), check.VerdictRefused},
		"a report":               {7, observe.Event{T: 9, Kind: observe.KindKernelLog, KernelLog: &observe.KernelLog{Text: "BUG: kernel NULL pointer dereference, address: 0"}}, check.VerdictCrashed},
	} {
		events := wellDone()
		events[c.at] = c.say
		got, err := heard(t.TempDir(), events)
		require.NoError(t, err, name)
		r := toldOf(t, got)
		require.EqualValues(t, c.want, r.Verdict, "%s: %s", name, r.Reason)
	}
}

// TestUnfinished: why a guest ended before its plan is told, where it said so.
func TestUnfinished(t *testing.T) {
	begun := wellDone()[:2]
	for want, e := range map[string]observe.Event{
		"carried out":                                  said(mailbox.Result{}),
		"(load p: the kernel did not come back)":       {T: 9, Kind: observe.KindAction, Action: &observe.Action{Name: "load", Detail: "p", Edge: "end", Error: "the kernel did not come back"}},
		"(read /proc/p: the kernel did not come back)": said(mailbox.Result{Probe: &mailbox.Probe{When: mailbox.Before, Path: "/proc/p", Error: "the kernel did not come back"}}),
	} {
		got, err := heard(t.TempDir(), append(begun[:2:2], e))
		require.NoError(t, err)
		require.False(t, got.over)
		require.True(t, strings.HasSuffix(got.unfinished().Error(), want), got.unfinished())
	}
}

// TestHostileTestimony: whatever a guest says ends in an error or in evidence.
func TestHostileTestimony(t *testing.T) {
	for name, r := range map[string]mailbox.Result{
		"another seed":     {Began: &mailbox.Began{Seed: 8}},
		"no such patch":    {Refused: &mailbox.Refused{Patch: 1}},
		"below the first":  {Unloaded: &mailbox.Unloaded{Patch: -1}},
		"followed twice":   {Followed: &mailbox.Followed{To: observe.Apply}},
		"followed nowhere": {Followed: &mailbox.Followed{To: "elsewhere"}},
		"no such load":     {Started: &mailbox.Started{Load: 1}},
		"no such moment":   {Probe: &mailbox.Probe{When: "never"}},
	} {
		events := wellDone()
		events[12] = said(r)
		_, err := heard(t.TempDir(), events)
		require.ErrorContains(t, err, "the guest's results", name)
	}
	// Blockers of a transition that was never seen.
	events := wellDone()
	events[4], events[5] = said(mailbox.Result{}), said(mailbox.Result{})
	events[6] = said(mailbox.Result{Followed: &mailbox.Followed{To: observe.Apply, Blockers: []observe.Blocker{{TID: 1}}}})
	unseen, err := heard(t.TempDir(), events)
	require.NoError(t, err)
	r := toldOf(t, unseen)
	require.EqualValues(t, check.VerdictIneffective, r.Verdict)
	require.Empty(t, r.Blockers)

	_, err = heard(t.TempDir(), append(wellDone(), said(mailbox.Result{Over: &mailbox.Over{}})))
	require.ErrorContains(t, err, "after the end")

	small := rapid.IntRange(-2, 3)
	word := rapid.SampledFrom([]string{"", mailbox.Before, mailbox.Patched, mailbox.After, observe.Apply, observe.Revert, "p", "/proc/p"})
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		events := wellDone()
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			n, w := small.Draw(t, "number"), word.Draw(t, "word")
			r := rapid.SampledFrom([]mailbox.Result{
				{}, {Began: &mailbox.Began{Seed: int64(n)}}, {Failed: &mailbox.Failed{What: w}}, {Probe: &mailbox.Probe{When: w, Patch: n, Path: "/proc/p"}},
				{Modules: &mailbox.Modules{When: w}}, {Started: &mailbox.Started{ID: n, Load: n}}, {Stuck: &mailbox.Stuck{ID: n}},
				{Stopped: &observe.Load{ID: n}}, {Refused: &mailbox.Refused{Patch: n}}, {Followed: &mailbox.Followed{Patch: n, To: w, Blockers: []observe.Blocker{{TID: n}}}},
				{Unloaded: &mailbox.Unloaded{Patch: n, Error: w}}, {Over: &mailbox.Over{}},
			}).Draw(t, "result")
			events[rapid.IntRange(0, len(events)-1).Draw(t, "at")] = said(r)
		}
		got, err := heard(dir, events)
		if err == nil {
			require.NotEmpty(t, toldOf(t, got).Verdict)
		}
	})
}
