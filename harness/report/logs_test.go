// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// TestLogsTellTheRun: what real logs come to.
func TestLogsTellTheRun(t *testing.T) {
	complete := logged(t, "complete").Runs[0]
	require.Equal(t, "complete", complete.Verdict)
	require.Equal(t, report.WayRevert, complete.Transition.Revert.Way)
	require.Len(t, complete.Load, 2)
	require.Len(t, complete.Transition.Apply.RoundsNS, *complete.Transition.Apply.Rounds)

	stalled := logged(t, "stalled").Runs[0]
	require.Equal(t, "stalled", stalled.Verdict)
	require.Equal(t, report.WayReversal, stalled.Transition.Revert.Way)
	require.Positive(t, stalled.Transition.Revert.TurnedNS)
	dozer := stalled.Transition.Apply.Lanes[0]
	require.Equal(t, "dozer", dozer.Task)
	require.Nil(t, dozer.SwitchedNS)
	look := dozer.Looks[len(dozer.Looks)-1]
	require.Equal(t, observe.Asleep, look.Reason)
	require.Contains(t, stalled.Transition.Apply.Stacks[*look.Stack][0], "doze_nap+")

	refused := logged(t, "refused").Runs[0]
	require.Equal(t, "refused", refused.Verdict)
	require.Contains(t, refused.Reason, "switchyard_no_such_function")
}

// TestCutAnywhere: logs that end anywhere give a report, which says so, and
// that can be written in all its forms.
func TestCutAnywhere(t *testing.T) {
	for _, name := range []string{"complete", "stalled", "refused"} {
		own, err := os.ReadFile(filepath.Join("testdata/logs", name, observe.RunFile))
		require.NoError(t, err)
		timeline, err := os.ReadFile(filepath.Join("testdata/logs", name, observe.TimelineFile))
		require.NoError(t, err)
		const cuts = 12
		for i := range cuts {
			dir := t.TempDir()
			first := bytes.IndexByte(own, '\n') + 1
			require.NoError(t, os.WriteFile(filepath.Join(dir, observe.RunFile), own[:first+(len(own)-first-2)*i/cuts], 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, observe.TimelineFile), timeline[:len(timeline)*i/cuts], 0o644))
			f, err := report.FromFolder(dir)
			require.NoError(t, err)
			require.NotEmpty(t, f.Runs[0].CutOff)
			require.NotEmpty(t, f.Runs[0].Kernel.Release)
			require.False(t, f.AsExpected())
			require.NoError(t, f.SaveAll(dir))
			text, err := os.ReadFile(filepath.Join(dir, "report.txt"))
			require.NoError(t, err)
			require.Contains(t, string(text), "cut off")
		}
	}
}

// TestTimelineWithGap: where the run's own log is whole and its timeline is not,
// there is no verdict, and not another one.
func TestTimelineWithGap(t *testing.T) {
	for _, name := range []string{"complete", "stalled"} {
		own, err := os.ReadFile(filepath.Join("testdata/logs", name, observe.RunFile))
		require.NoError(t, err)
		timeline, err := os.ReadFile(filepath.Join("testdata/logs", name, observe.TimelineFile))
		require.NoError(t, err)
		for what, c := range map[string]struct {
			timeline []byte
			want     string
		}{
			"empty":          {nil, "holds 0 events"},
			"torn":           {timeline[:len(timeline)-30], "torn in its last line"},
			"cut at a line":  {timeline[:bytes.LastIndexByte(timeline[:len(timeline)/2], '\n')+1], "events, and the run had seen"},
			"torn at a half": {timeline[:bytes.LastIndexByte(timeline[:len(timeline)/2], '\n')-10], "torn in its last line"},
		} {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, observe.RunFile), own, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, observe.TimelineFile), c.timeline, 0o644))
			f, err := report.FromFolder(dir)
			require.NoError(t, err)
			require.Empty(t, f.Runs[0].Verdict, "%s, %s", name, what)
			require.Contains(t, f.Runs[0].CutOff, c.want, "%s, %s", name, what)
			require.False(t, f.AsExpected())
			require.NoError(t, f.SaveAll(dir))
		}
	}
}

// FuzzLogs: whatever the logs hold, they end in a report or in an error.
func FuzzLogs(f *testing.F) {
	for _, name := range []string{"complete", "stalled", "refused"} {
		own, err := os.ReadFile(filepath.Join("testdata/logs", name, observe.RunFile))
		require.NoError(f, err)
		timeline, err := os.ReadFile(filepath.Join("testdata/logs", name, observe.TimelineFile))
		require.NoError(f, err)
		f.Add(own, timeline[:min(len(timeline), 20000)])
	}
	f.Fuzz(func(t *testing.T, own, timeline []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, observe.RunFile), own, 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, observe.TimelineFile), timeline, 0o644))
		folder, err := report.FromFolder(dir)
		if err == nil {
			require.NoError(t, folder.SaveAll(dir))
		}
	})
}

// TestFacts: one that is told again takes the former's place as a whole; what
// no report knows is no run's log.
func TestFacts(t *testing.T) {
	log := func(facts ...string) (report.Run, error) {
		dir := t.TempDir()
		l, err := observe.Create(filepath.Join(dir, observe.RunFile), 0)
		require.NoError(t, err)
		for _, f := range facts {
			require.NoError(t, l.Append(observe.Event{Clock: observe.Host, Kind: observe.KindFacts, Raw: json.RawMessage(f)}))
		}
		require.NoError(t, l.Append(observe.Event{Clock: observe.Host, Kind: observe.KindOver, Over: &observe.Over{Error: "fs/a.c:7: no"}}))
		require.NoError(t, l.Close())
		return report.FromLogs(dir)
	}
	r, err := log(
		`{"patch":{"name":"p","functions":[{"name":"f","object":"m","sympos":3},{"name":"g"}]},"expected":"complete"}`,
		`{"patch":{"name":"q","functions":[{"name":"h"}]}}`,
	)
	require.NoError(t, err)
	require.Equal(t, report.Patch{Name: "q", Functions: []report.Function{{Name: "h"}}}, r.Patch)
	require.Equal(t, "complete", r.Expected)
	require.Empty(t, r.Verdict)
	require.Equal(t, "fs/a.c:7: no", r.Reason)

	r, err = log(`{"refusals":[{"code":"hunk-failed","file":"fs/a.c","line":7,"text":"no"}]}`)
	require.NoError(t, err)
	require.Equal(t, "refused", r.Verdict)

	var wrong *report.FormatError
	_, err = log(`{"colour":"red"}`)
	require.ErrorAs(t, err, &wrong)
	_, err = log(`{"patch":7}`)
	require.ErrorAs(t, err, &wrong)
}
