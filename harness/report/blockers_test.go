// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// written makes a folder of the two logs.
func written(t *testing.T, own, timeline []observe.Event) string {
	t.Helper()
	dir := t.TempDir()
	for file, events := range map[string][]observe.Event{observe.RunFile: own, observe.TimelineFile: timeline} {
		log, err := observe.Create(filepath.Join(dir, file), 0)
		require.NoError(t, err)
		for _, e := range events {
			require.NoError(t, log.Append(e))
		}
		require.NoError(t, log.Close())
	}
	return dir
}

// stall are the events of a transition that has not ended.
func stall(more ...observe.Event) []observe.Event {
	return append([]observe.Event{
		{Clock: observe.Guest, T: 1e9, Kind: observe.KindWatch, Watch: &observe.Watch{}},
		{Clock: observe.Guest, T: 2e9, Kind: observe.KindTransition, Transition: &observe.Transition{Patch: "p", Edge: observe.EdgeStart, To: observe.Apply}},
		{Clock: observe.Guest, T: 3e9, Kind: observe.KindSample, Sample: &observe.Sample{Patch: "p", To: observe.Apply, Left: 2, Total: 120}},
		{Clock: observe.Guest, T: 3e9 + 5e6, Kind: observe.KindSample, Sample: &observe.Sample{Patch: "p", To: observe.Apply, Left: 2, Total: 120}},
	}, more...)
}

func facts(t *testing.T, text string) observe.Event {
	require.True(t, json.Valid([]byte(text)))
	return observe.Event{Clock: observe.Host, T: 1, Kind: observe.KindFacts, Raw: json.RawMessage(text)}
}

// TestDiagnosisIsInTheReport: in the run, in its reason and with each task; by
// what the kernel is known to be able to.
func TestDiagnosisIsInTheReport(t *testing.T) {
	spins := observe.Blocker{Comm: "spin", TID: 9, Kind: observe.KThread, Reason: observe.Running, State: "R", CPU: 1, Witnesses: []string{observe.ByProc, observe.ByCore}, Differ: "they do not agree"}
	idle := observe.Blocker{Comm: "swapper/1", Kind: observe.IdleTask, Reason: observe.Running, CPU: 1, Witnesses: []string{observe.ByCore}}
	timeline := stall(observe.Event{Clock: observe.Guest, T: 25e8, Kind: observe.KindBlocker, Blocker: &spins})
	own := func(capabilities string) []observe.Event {
		return []observe.Event{
			facts(t, `{"kernel":{"release":"6.1.0","selector":"6.1","source":"debian"`+capabilities+`},"expected":"complete","accel":"tcg"}`),
			{Clock: observe.Host, T: 2, Kind: observe.KindFollowed, Followed: &observe.Followed{Patch: "p", To: observe.Apply, Events: len(timeline), Blockers: []observe.Blocker{spins, idle}}},
			{Clock: observe.Host, T: 3, Kind: observe.KindOver, Over: &observe.Over{}},
		}
	}
	r, err := report.FromLogs(written(t, own(`,"capabilities":["reliable-stacks","cond-resched-switching"]`), timeline))
	require.NoError(t, err)
	require.Equal(t, "stalled", r.Verdict)
	require.Len(t, r.Diagnosis, 2)
	require.Contains(t, r.Diagnosis[0], "kthread spin/9 runs on CPU 1 (in 2 of 2 looks)")
	require.Contains(t, r.Diagnosis[0], "on this kernel to call cond_resched() is enough")
	require.Contains(t, r.Reason, r.Diagnosis[0])
	require.Equal(t, r.Diagnosis[0], r.Blockers[0].Diagnosis)
	require.Equal(t, "they do not agree", r.Blockers[0].Differ)
	require.EqualValues(t, 5e8, r.Blockers[0].FirstNS)
	require.Equal(t, []string{"core"}, r.Blockers[1].Witnesses)
	require.Contains(t, r.Blockers[1].Diagnosis, "swapper/1")
	require.Len(t, r.Transition.Apply.Lanes, 2, "an idle task has a lane of its own")

	r, err = report.FromLogs(written(t, own(""), timeline))
	require.NoError(t, err)
	require.Contains(t, r.Diagnosis[0], "depends on the kernel", "nobody knows what it can")
}

// TestSilentGuestsTasksAreNamed: a machine that fell silent in a transition is
// lost, and its reason says who had not switched, by its memory.
func TestSilentGuestsTasksAreNamed(t *testing.T) {
	proc := observe.Blocker{Comm: "cat", TID: 7, Kind: observe.UserTask, Reason: observe.Asleep, State: "D", Function: "hold", Patched: true, Stack: []string{"hold+0x1/0x2"}, Witnesses: []string{observe.ByProc}}
	memory := observe.Blocker{Comm: "cat", TID: 7, Kind: observe.UserTask, Reason: observe.Waiting, State: "D", Witnesses: []string{observe.ByMemory}}
	hung := observe.Blocker{Comm: "hung", TID: 8, Kind: observe.UserTask, Reason: observe.Running, State: "R", Witnesses: []string{observe.ByMemory}}
	slept := observe.Blocker{Comm: "hung", TID: 8, Kind: observe.UserTask, Reason: observe.Waiting, State: "S", Function: "nap", Witnesses: []string{observe.ByProc}}
	at := func(t int64, b *observe.Blocker) observe.Event {
		return observe.Event{Clock: observe.Guest, T: t, Kind: observe.KindBlocker, Blocker: b}
	}
	timeline := stall(at(25e8, &proc), at(25e8, &slept), at(31e8, &memory), at(31e8, &hung))
	r, err := report.FromLogs(written(t, []observe.Event{
		facts(t, `{"kernel":{"release":"6.1.0","selector":"6.1","source":"debian"},"expected":"complete","accel":"tcg"}`),
		{Clock: observe.Host, T: 2, Kind: observe.KindDeath, Death: &observe.Death{Cause: "Silence", Text: "the guest fell silent"}},
		{Clock: observe.Host, T: 3, Kind: observe.KindOver, Over: &observe.Over{}},
	}, timeline))
	require.NoError(t, err)
	require.Equal(t, "lost", r.Verdict)
	require.Equal(t, "the guest fell silent; by its memory 2 tasks had not switched then: cat/7 (user task) asleep on patched, hung/8 (user task) running", r.Reason)
	require.Len(t, r.Blockers, 2)
	require.Equal(t, "hold", r.Blockers[0].Function)
	require.Equal(t, []string{"proc", "memory"}, r.Blockers[0].Witnesses)
	require.Equal(t, "the last look in /proc found it asleep elsewhere, memory has it running", r.Blockers[1].Differ)
	require.Contains(t, r.Diagnosis[0], "sleeps uninterruptibly in hold()")
}

// TestCutOffRunNamesWhoWasInTheWay: of a run that was killed in a stall the last
// looks at those that had not switched say who was in the way, and why.
func TestCutOffRunNamesWhoWasInTheWay(t *testing.T) {
	blocker := func(at int64, tid, cpu int, comm, kind, reason, function string) observe.Event {
		b := observe.Blocker{Comm: comm, TID: tid, CPU: cpu, Kind: kind, Reason: reason, State: "D", Function: function, Patched: function == "hold", Witnesses: []string{observe.ByProc}}
		return observe.Event{Clock: observe.Guest, T: at, Kind: observe.KindBlocker, Blocker: &b}
	}
	timeline := stall(
		blocker(25e8, 7, 0, "cat", observe.UserTask, observe.Running, ""),
		blocker(25e8, 8, 0, "gone", observe.UserTask, observe.Asleep, "hold"),
		blocker(25e8, 0, 0, "swapper/0", observe.IdleTask, observe.Running, ""),
		blocker(25e8, 0, 1, "swapper/1", observe.IdleTask, observe.Running, ""),
		observe.Event{Clock: observe.Guest, T: 26e8, Kind: observe.KindTask, Task: &observe.Task{PID: 8, TID: 8, Comm: "gone", State: 1}},
		blocker(27e8, 7, 0, "cat", observe.UserTask, observe.Asleep, "hold"),
	)
	r, err := report.FromLogs(written(t, []observe.Event{
		facts(t, `{"kernel":{"release":"6.1.0","selector":"6.1","source":"debian"},"expected":"complete","accel":"tcg"}`),
	}, timeline))
	require.NoError(t, err)
	require.Empty(t, r.Verdict)
	require.NotEmpty(t, r.CutOff)
	var names []string
	for _, b := range r.Blockers {
		names = append(names, b.Task)
	}
	require.Equal(t, []string{"cat", "swapper/0", "swapper/1"}, names)
	require.Equal(t, "hold", r.Blockers[0].Function)
	require.Contains(t, r.Blockers[0].Diagnosis, "sleeps uninterruptibly in hold()")

	// Where it goes back to by then, they are already.
	timeline = append(timeline, observe.Event{Clock: observe.Guest, T: 32e8, Kind: observe.KindTransition, Transition: &observe.Transition{Patch: "p", Edge: observe.EdgeReverse, To: observe.Revert}},
		blocker(35e8, 9, 0, "other", observe.UserTask, observe.Asleep, "hold"))
	r, err = report.FromLogs(written(t, []observe.Event{
		facts(t, `{"kernel":{"release":"6.1.0","selector":"6.1","source":"debian"},"expected":"complete","accel":"tcg"}`),
	}, timeline))
	require.NoError(t, err)
	require.Len(t, r.Blockers, 1)
	require.Equal(t, "other", r.Blockers[0].Task)
}

// TestObserverIsShown: what watching cost, and the warning when that is much. A
// second in which the host ran others does not count.
func TestObserverIsShown(t *testing.T) {
	const looks = 100
	cost := func(at, typical, cpu, examine int64) observe.Event {
		return observe.Event{Clock: observe.Guest, T: at, Kind: observe.KindCost, Cost: &observe.Cost{
			Looks: looks, WallNS: 1e9, CPUNS: cpu, ScanNS: 4e6, ExamineNS: examine, TypicalNS: typical, MaxLateNS: 3e6}}
	}
	for _, c := range []struct {
		accel   string
		typical int64 // of a look
		share   float64
		warns   bool
	}{{"kvm", 50e3, 0.009, false}, {"kvm", 200e3, 0.024, true}, {"tcg", 200e3, 0.024, false}} {
		timeline := stall(cost(5e9, c.typical, 5e6, 0), cost(6e9, c.typical, 5e6, 0), cost(7e9, 10e6, 900e6, 0), cost(8e9, c.typical, 5e6, 0), cost(9e9, 0, 1e6, 0))
		r, err := report.FromLogs(written(t, []observe.Event{facts(t, `{"expected":"complete","accel":"`+c.accel+`"}`)}, timeline))
		require.NoError(t, err)
		require.Equal(t, c.share, r.Observer.CPUShare)
		require.Equal(t, 0.1872, r.Observer.MeasuredCPUShare)
		require.Equal(t, 500, r.Observer.Looks)
		require.EqualValues(t, 3e6, r.Observer.MaxLateNS)
		require.Equal(t, 120, r.Observer.Tasks)
		var text bytes.Buffer
		report.Report{Runs: []report.Run{r}}.WriteTable(&text)
		require.Contains(t, text.String(), "watched by 500 looks that took")
		require.Equal(t, c.warns, strings.Contains(text.String(), "watching took 2.4 % of a guest CPU (up to 2 % are meant, with 120 tasks)"), text.String())
	}
	r, err := report.FromLogs(written(t, []observe.Event{facts(t, `{"expected":"complete"}`)}, stall(cost(5e9, 50e3, 5e6, 5e6))))
	require.NoError(t, err)
	require.Equal(t, 0.014, r.Observer.CPUShare, "examinations count")
	r, err = report.FromLogs(written(t, []observe.Event{facts(t, `{"expected":"complete"}`)}, nil))
	require.NoError(t, err)
	require.Nil(t, r.Observer, "nobody watched")
}

// TestFloodedLog: a line of the core for each task in each round pushes nothing
// out of the report's kernel log that somebody else said.
func TestFloodedLog(t *testing.T) {
	said := func(at int64, level int, text string) observe.Event {
		return observe.Event{Clock: observe.Guest, T: at, Kind: observe.KindKernelLog, KernelLog: &observe.KernelLog{Level: level, Text: text}}
	}
	timeline := stall(said(4e9, 4, "first"))
	for i := range int64(5000) {
		timeline = append(timeline, said(5e9+i, 7, "livepatch: klp_try_switch_task: cat:97 is sleeping on function hold"))
	}
	timeline = append(timeline, said(6e9, 4, "last"))
	r, err := report.FromLogs(written(t, []observe.Event{facts(t, `{"expected":"complete"}`)}, timeline))
	require.NoError(t, err)
	require.Len(t, r.KernelLog, 2000)
	require.Equal(t, 3002, r.KernelLogOmitted)
	require.Equal(t, "first", r.KernelLog[0].Text)
	require.Equal(t, "last", r.KernelLog[1999].Text)
	require.Empty(t, r.LogReports)
}
