// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
)

// TestReportOfDamagedRuns: the runs that can be read have their reports, and
// the status says that there are others.
func TestReportOfDamagedRuns(t *testing.T) {
	for log, status := range map[string]int{"": exitUnexpected, `{"clo`: exitUnexpected, "total 4\n": exitInput} {
		dir := t.TempDir()
		l, err := report.CreateCommandLog(dir, report.Command{Runs: []string{"p-6.1", "p-6.12"}})
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.NoError(t, os.CopyFS(filepath.Join(dir, "p-6.1"), os.DirFS("../../harness/report/testdata/logs/complete")))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "p-6.12"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "p-6.12/run.jsonl"), []byte(log), 0o644))
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{"report", dir})
		err = root.Execute()
		require.Equal(t, status, exitStatus(err), "%q: %v", log, err)
		require.Regexp(t, `6\.1\.0-56-cloud-amd64 +complete`, out.String())
		written, err := report.Read(filepath.Join(dir, "report.json"))
		require.NoError(t, err)
		require.NotEmpty(t, written.Runs)
		if status == exitUnexpected {
			require.Contains(t, out.String(), "p-6.12 left nothing")
		}
		// What a run writes at its end is that as well.
		require.NoError(t, os.Remove(filepath.Join(dir, "report.json")))
		require.Equal(t, status == exitInput, saveReports(dir) != nil)
		require.FileExists(t, filepath.Join(dir, "report.json"))
	}
}
