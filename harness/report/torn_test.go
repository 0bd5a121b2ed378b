// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// TestDamagedTimelines: what a machine that lost its power, a full disk or a
// clumsy hand leaves of a timeline gives a report in all its forms of what is
// there, or, where a line within it is none, the sentence which line.
func TestDamagedTimelines(t *testing.T) {
	own, err := os.ReadFile("testdata/logs/stalled/run.jsonl")
	require.NoError(t, err)
	whole, err := os.ReadFile("testdata/logs/stalled/timeline.jsonl")
	require.NoError(t, err)
	half := whole[:bytes.LastIndexByte(whole[:len(whole)/2], '\n')+1]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		timeline []byte
		line     bool // a line is named, and there is no report
	}{
		"none at all":              {nil, false},
		"empty":                    {[]byte{}, false},
		"one event":                {whole[:bytes.IndexByte(whole, '\n')+1], false},
		"cut between lines":        {half, false},
		"blocks of nothing behind": {join(half, make([]byte, 4096)), false},
		"half a line behind":       {join(half, []byte(`{"clock":"guest-mono`)), false},
		"nothing within":           {join(half, make([]byte, 4096), []byte("\n"), whole[len(half):]), true},
		"something else within":    {join(half, []byte("total 4\n"), whole[len(half):]), true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, observe.RunFile), own, 0o644))
			if c.timeline != nil {
				require.NoError(t, os.WriteFile(filepath.Join(dir, observe.TimelineFile), c.timeline, 0o644))
			}
			f, err := report.FromFolder(dir)
			if c.line {
				var wrong *report.FormatError
				require.ErrorAs(t, err, &wrong)
				require.ErrorContains(t, err, "line ")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "6.1.0-56-cloud-amd64", f.Runs[0].Kernel.Release)
			require.NoError(t, f.SaveAll(dir))
			for _, form := range []string{"report.json", "report.html", "report.txt", "junit.xml", report.TraceFile} {
				require.FileExists(t, filepath.Join(dir, form))
			}
		})
	}
}

// TestDamagedRunAmongOthers: one run that cannot be read, of several, leaves the
// others their reports. One that was torn as it began is told of as such.
func TestDamagedRunAmongOthers(t *testing.T) {
	whole, err := os.ReadFile("testdata/logs/complete/run.jsonl")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		log    []byte
		begins string // of the error; "": there is none
	}{
		"empty":             {nil, ""},
		"torn at its start": {whole[:40], ""},
		"blocks of nothing": {make([]byte, 4096), ""},
		"something else":    {[]byte("total 4\n"), "line 1"},
		"something in it":   {append(bytes.Clone(whole[:bytes.IndexByte(whole, '\n')+1]), "x\n"...), "line 2"},
		"an unknown fact":   {[]byte(`{"clock":"host-monotonic","kind":"facts","raw":{"colour":"red"}}` + "\n"), "run.jsonl"},
	} {
		for _, repeat := range []int{0, 3} {
			dir := t.TempDir()
			runs := []string{"p-6.1/repeat-1", "p-6.1/repeat-2", "p-6.1/repeat-3"}
			if repeat == 0 {
				runs = []string{"p-6.1", "p-6.6", "p-6.12"}
			}
			log, err := report.CreateCommandLog(dir, report.Command{Runs: runs, Repeat: repeat})
			require.NoError(t, err)
			require.NoError(t, log.Close())
			for i, run := range runs {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(run)), 0o755))
				require.NoError(t, os.CopyFS(filepath.Join(dir, run), os.DirFS("testdata/logs/complete")))
				if i == 1 {
					require.NoError(t, os.WriteFile(filepath.Join(dir, run, observe.RunFile), c.log, 0o644))
				}
			}
			f, err := report.FromFolder(dir)
			want := 3
			if c.begins != "" {
				var wrong *report.FormatError
				require.ErrorAs(t, err, &wrong, name)
				require.ErrorContains(t, err, runs[1], name)
				require.ErrorContains(t, err, c.begins, name)
				want = 2
			} else {
				require.NoError(t, err, name)
				lost := f.Runs[1]
				require.Contains(t, lost.CutOff, "the run in "+runs[1]+" left nothing", name)
				require.False(t, lost.AsExpected(), name)
				require.False(t, f.AsExpected(), name)
				require.Equal(t, f.Runs[0].Patch.Name, lost.Patch.Name)
				if repeat > 0 {
					require.Equal(t, f.Runs[0].Kernel.Release, lost.Kernel.Release)
					require.Equal(t, f.Runs[0].Kernel.Release, f.Repeats[0].Release)
				} else {
					require.Equal(t, "p-6.6", lost.Kernel.Release)
				}
			}
			require.Len(t, f.Runs, want, name)
			require.Equal(t, "complete", f.Runs[want-1].Verdict)
			if repeat > 0 {
				require.Equal(t, 2, f.Repeats[0].Runs, name)
			}
			require.NoError(t, f.SaveAll(dir), name)
			first := saved(t, dir)
			again, _ := report.FromFolder(dir)
			require.NoError(t, again.SaveAll(dir), name)
			require.Equal(t, first, saved(t, dir), name)
			require.FileExists(t, filepath.Join(dir, runs[2], report.TraceFile))
			require.NoFileExists(t, filepath.Join(dir, runs[1], report.TraceFile))
		}
	}
}

// saved are the reports in dir.
func saved(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, form := range []string{"report.json", "report.html", "report.txt", "junit.xml"} {
		text, err := os.ReadFile(filepath.Join(dir, form))
		require.NoError(t, err)
		all = append(all, string(text))
	}
	return all
}
