// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/report"
)

// TestRepeatsFromFolder: runs whose evidence was kept, and what is known of
// those where it was not, come to the same sums in a folder as in the command
// that ran them.
func TestRepeatsFromFolder(t *testing.T) {
	dir := t.TempDir()
	c := report.Command{Runs: []string{"p-6.1/repeat-1", "p-6.1/repeat-2", "p-6.1/repeat-3", "p-6.1/repeat-4"}, Repeat: 4, Until: "stalled"}
	log, err := report.CreateCommandLog(dir, c)
	require.NoError(t, err)
	done := map[string]report.Run{}
	for i, name := range []string{"complete", "stalled"} {
		folder := c.Runs[i+1]
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(folder)), 0o755))
		require.NoError(t, os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join("testdata/logs", name))))
		done[folder], err = report.FromLogs(filepath.Join(dir, folder))
		require.NoError(t, err)
	}
	gone := report.RepeatedOf(c.Runs[0], done[c.Runs[1]])
	gone.Verdict = "crashed"
	require.NoError(t, log.Drop(gone))
	require.NoError(t, log.Close())

	want := c.Report(done, log.Dropped())
	require.Len(t, want.Runs, 2)
	require.Len(t, want.Repeats, 1)
	r := want.Repeats[0]
	require.Equal(t, 3, r.Runs, "the fourth did not come")
	require.Equal(t, 4, r.Planned)
	require.Equal(t, c.Runs[2], r.Found)
	require.Equal(t, c.Runs[2], want.Found())
	require.Len(t, r.Verdicts, 3)
	require.Equal(t, "kthread", r.Blockers[0].Kind)
	require.False(t, want.AsExpected(), "one crashed, although nothing of it was kept")
	apply := r.Figures[slices.IndexFunc(r.Figures, func(f report.Figure) bool { return f.Name == "apply.time" })]
	require.Equal(t, 2, apply.Runs, "a transition that stalled has no time")
	require.Nil(t, apply.Lo, "two runs are too few for an interval")

	folder, err := report.FromFolder(dir)
	require.NoError(t, err)
	var live, again bytes.Buffer
	require.NoError(t, want.WriteJSON(&live))
	require.NoError(t, folder.WriteJSON(&again))
	require.Equal(t, live.String(), again.String())
	require.NoError(t, folder.SaveAll(dir))
	text, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	require.NoError(t, err)
	require.Contains(t, string(text), "stalled was found: p-6.1/repeat-3")
	require.Contains(t, string(text), "crashed 1 (not as expected)")
	require.Contains(t, string(text), "too few runs")

	// A CI system tells the runs apart.
	var junit bytes.Buffer
	require.NoError(t, report.Merged{Report: report.Report{Runs: []report.Run{done[c.Runs[1]], done[c.Runs[1]], done[c.Runs[1]]}}}.WriteJUnit(&junit))
	name := done[c.Runs[1]].Patch.Name + "/" + done[c.Runs[1]].Kernel.Release
	for _, suffix := range []string{"", "#2", "#3"} {
		require.Contains(t, junit.String(), `name="`+name+suffix+`"`)
	}

	// A folder in which all that is left is what was noted has a report too.
	for _, name := range c.Runs {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	folder, err = report.FromFolder(dir)
	require.NoError(t, err)
	require.Equal(t, 1, folder.Repeats[0].Runs)
}

// TestMedians: the interval holds the median, is there from six runs on, and
// lies within what was seen.
func TestMedians(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e12), 1, 60).Draw(t, "values")
		var runs []report.Repeated
		for _, v := range values {
			runs = append(runs, report.Repeated{Verdict: "complete", Expected: "complete", Measures: []report.Measure{{Name: "apply.time", Value: v}}})
		}
		given := slices.Clone(values)
		r := report.RepeatsOf(runs, len(runs), "")
		require.Equal(t, given, values, "what is summed up stays as it was")
		f := r.Figures[0]
		slices.Sort(values)
		n := len(values)
		require.Equal(t, []float64{values[0], values[n-1]}, []float64{f.Min, f.Max})
		middle := (values[(n-1)/2] + values[n/2]) / 2
		require.InEpsilon(t, 1+middle, 1+f.Median, 1e-9)
		require.Equal(t, n >= 6, f.Lo != nil, "%d runs", n)
		if f.Lo != nil {
			require.True(t, f.Min <= *f.Lo && *f.Lo <= f.Median && f.Median <= *f.Hi && *f.Hi <= f.Max)
			require.GreaterOrEqual(t, f.Confidence, 0.94) // beyond 30 runs it is approximated
		}
		require.Equal(t, 1.0, r.Verdicts[0].Share)
	})
}

func TestSought(t *testing.T) {
	require.True(t, report.Sought("stalled", "stalled", "stalled"))
	require.False(t, report.Sought("stalled", "crashed", "complete"))
	require.True(t, report.Sought(report.Unexpected, "crashed", "complete"))
	require.False(t, report.Sought(report.Unexpected, "complete", "complete"))
	require.False(t, report.Sought("", "", "complete"))
}
