// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// TestRefusedDiff: every reason is told, to people as a sentence, to programs
// with its code, to CI as the run's failure; a refusal that was expected is none.
func TestRefusedDiff(t *testing.T) {
	run := Run{
		Kernel: Kernel{Release: "6.1.0-1"}, Patch: Patch{Name: "fix"}, Verdict: "refused", Expected: "complete", Reason: "2 errors occurred",
		Refusals: []refusal.Refusal{
			{Code: refusal.Data, File: "fs/a.c", Release: "6.1.0-1", Text: "the data of x changes", Advice: "set it from a callback"},
			{Code: refusal.InitExit, File: "fs/b.c", Line: 7, Function: "f", Text: "is init code\x1b[2J"},
		},
	}
	var out bytes.Buffer
	Report{Runs: []Run{run}}.WriteTable(&out)
	require.Regexp(t, `6\.1\.0-1 +refused \(expected complete\)`, out.String())
	require.Contains(t, out.String(), "\n6.1.0-1: refused (data): fs/a.c: the data of x changes; set it from a callback\n")
	require.Contains(t, out.String(), "\n6.1.0-1: refused (init-exit): fs/b.c:7: f(): is init code")
	require.NotContains(t, out.String(), "\x1b")

	out.Reset()
	require.NoError(t, Report{Runs: []Run{run}}.WriteJSON(&out))
	var back Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, run.Refusals, back.Runs[0].Refusals)

	junit := func(r Run) string {
		var out bytes.Buffer
		require.NoError(t, Merged{Report: Report{Runs: []Run{r}}}.WriteJUnit(&out))
		return out.String()
	}
	require.Contains(t, junit(run), "data: fs/a.c: the data of x changes")
	require.Contains(t, junit(run), `failures="1"`)
	run.Expected = "refused"
	require.NotContains(t, junit(run), "the data of x changes")
}
