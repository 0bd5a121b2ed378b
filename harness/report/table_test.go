// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTable: a row for each run, and for one that is not as expected why,
// where to look and how to do it again.
func TestTable(t *testing.T) {
	two := 2
	good := Run{
		Kernel: Kernel{Release: "6.1.0-1"}, Verdict: "complete", Expected: "complete",
		Transition: Transition{
			Apply:  &Phase{Done: true, GuestNS: 1_360_000_000, Rounds: &two},
			Revert: &Phase{Done: true, GuestNS: 25_000_000},
		},
		Interruption: &Interruption{Windows: Windows{
			Baseline: &Window{Lateness: Lateness{Count: 9, MaxNS: 39_000}},
			Apply:    &Window{Lateness: Lateness{Count: 9, MaxNS: 31_000_000}},
		}},
		Load: []Load{{Name: "fork", Ops: 812}, {Name: "pipe", Ops: 9, Errors: 1}},
	}
	bad := Run{
		Kernel: Kernel{Release: "6.12.1"}, Verdict: "stalled", Expected: "complete", Reason: "one task left",
		Transition: Transition{Apply: &Phase{GuestNS: 40_000_000_000, Rounds: &two}},
		Blockers:   []Blocker{{Task: "cat", PID: 97, Reason: "asleep on patched"}, {Task: "dd"}},
		Patch:      Patch{Warnings: []string{"no unwind tables"}},
		Artifacts:  Artifacts{Dir: "/evidence"}, Repro: "switchyard run fix -kernel 6.12.1",
	}
	var out bytes.Buffer
	Report{Runs: []Run{good, bad}}.WriteTable(&out)
	lines := strings.Split(out.String(), "\n")
	require.Regexp(t, `6\.1\.0-1 +complete +1\.36 s, 2 rounds +25 ms +31\.0 ms, before 39 us +fork 812 ops, pipe 9 ops \(1 wrong\) +-`, lines[1])
	require.Regexp(t, `6\.12\.1 +stalled \(expected complete\) +> 40\.00 s, 2 rounds +- +- +- +cat/97 asleep on patched and 1 more`, lines[2])
	require.Contains(t, out.String(), "6.12.1: no unwind tables\n")
	require.Contains(t, out.String(), "6.12.1: one task left\n  evidence: /evidence\n  again:    switchyard run fix -kernel 6.12.1\n")
}

// TestHostileNames: what a guest names its tasks does not reach the terminal
// as commands.
func TestHostileNames(t *testing.T) {
	run := Run{
		Verdict: "stalled", Expected: "complete", Reason: "\x1b[2Jgone\nnew line",
		Blockers: []Blocker{{Task: "\x1b]0;title\x07", Reason: "\u009b31m"}},
		Warnings: []string{"\x1b[31mred"},
	}
	var out bytes.Buffer
	Report{Runs: []Run{run}}.WriteTable(&out)
	require.NotContains(t, out.String(), "\x1b")
	require.NotContains(t, out.String(), "\x07")
	require.NotContains(t, out.String(), "\u009b")
}

// TestSave: a report is written whole, in the place of an older one.
func TestSave(t *testing.T) {
	path := t.TempDir() + "/report.json"
	for _, verdict := range []string{"stalled", "complete"} {
		require.NoError(t, Report{Runs: []Run{{Verdict: verdict}}}.Save(path))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var r Report
		require.NoError(t, json.Unmarshal(text, &r))
		require.Equal(t, Schema, r.Schema)
		require.Equal(t, verdict, r.Runs[0].Verdict)
	}
}
