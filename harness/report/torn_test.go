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
