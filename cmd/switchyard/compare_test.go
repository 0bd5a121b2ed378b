// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/compare"
)

// reportFile keeps a report of n runs on each kernel, every stalled-th of them a
// stall, with that apply time in ms and a little more for each run.
func reportFile(t *testing.T, name string, n, stalled int, ms float64, releases ...string) string {
	t.Helper()
	var r report.Report
	for _, release := range releases {
		for i := range n {
			run := report.Run{
				Kernel: report.Kernel{Release: release}, Patch: report.Patch{Name: "fix"}, Accel: "tcg", Verdict: "complete", Expected: "complete",
				Transition: report.Transition{Apply: &report.Phase{Done: true, GuestNS: int64((ms + float64(i)) * 1e6)}},
			}
			if stalled > 0 && i%stalled == 0 {
				run.Verdict, run.Transition.Apply.Done = "stalled", false
			}
			r.Runs = append(r.Runs, run)
		}
	}
	path := filepath.Join(t.TempDir(), name+".json")
	require.NoError(t, r.Save(path))
	return path
}

// TestCompareStatus: what git bisect run makes of each comparison.
func TestCompareStatus(t *testing.T) {
	good, same := reportFile(t, "good", 20, 0, 10, "6.1"), reportFile(t, "same", 20, 0, 10, "6.1")
	slow, fast := reportFile(t, "slow", 20, 0, 90, "6.1"), reportFile(t, "fast", 20, 0, 1, "6.1")
	stalls, few := reportFile(t, "stalls", 20, 2, 10, "6.1"), reportFile(t, "few", 2, 1, 10, "6.1")
	two, other := reportFile(t, "two", 20, 0, 10, "6.1", "6.12"), reportFile(t, "other", 20, 0, 10, "6.6", "7.2")
	three := reportFile(t, "three", 20, 0, 10, "6.1.0-5", "6.6.1", "6.12.7")
	var both report.Report // slow on one of its kernels
	for _, path := range []string{slow, reportFile(t, "same", 20, 0, 10, "6.12")} {
		one, err := report.Read(path)
		require.NoError(t, err)
		both.Runs = append(both.Runs, one.Runs...)
	}
	mixed := filepath.Join(t.TempDir(), "mixed.json")
	require.NoError(t, both.Save(mixed))
	until := filepath.Join(t.TempDir(), "until.json")
	require.NoError(t, report.Report{
		Runs:    []report.Run{{Verdict: "stalled"}},
		Repeats: []report.Repeats{report.RepeatsOf([]report.Repeated{{Run: "x", Verdict: "stalled"}}, 5, "stalled")},
	}.Save(until))
	search := filepath.Join(t.TempDir(), "search.json")
	require.NoError(t, report.Report{Searches: []report.Search{{Seeds: 9}}, Runs: []report.Run{{Verdict: "stalled"}}}.Save(search))
	whole, cut := "../../harness/report/testdata/logs/complete", filepath.Join(t.TempDir(), "cut.json")
	require.NoError(t, os.WriteFile(cut, []byte(`{"schema":"switchyard.report/1","runs":[`), 0o644))

	for _, c := range []struct {
		args   []string
		status int
	}{
		{[]string{good, same}, exitOK},
		{[]string{good, slow}, exitUnexpected},
		{[]string{good, fast}, exitOK}, // for the better
		{[]string{good, fast, "-direction", "better"}, exitUnexpected},
		{[]string{good, fast, "-direction", "any"}, exitUnexpected},
		{[]string{good, slow, "-only", "verdict"}, exitOK},
		{[]string{good, slow, "-threshold", "1000%"}, exitOK},
		{[]string{good, slow, "-threshold", "0.1"}, exitUnexpected},
		{[]string{good, stalls}, exitUnexpected},
		{[]string{good, stalls, "-only", "apply"}, exitOK},
		{[]string{stalls, good}, exitOK},
		{[]string{few, few}, exitUntold},
		{[]string{whole, whole}, exitUntold}, // one run against itself
		{[]string{two}, exitOK},              // its two kernels
		{[]string{two, good}, exitOK},        // the kernel of both
		{[]string{good, other}, exitInput},
		{[]string{good}, exitInput},
		{[]string{good, until}, exitInput},
		{[]string{good, search}, exitInput},
		{[]string{good, cut}, exitInput},
		{[]string{good, "no/such/report.json"}, exitInput},
		{[]string{good, good, "-repeat", "0"}, exitInput},
		{[]string{good, good, "-threshold", "-1"}, exitInput},
		{[]string{good, good, "-format", "xml"}, exitInput},
		// -kernel chooses among the runs that there are.
		{[]string{good, mixed}, exitUnexpected},
		{[]string{two, mixed}, exitUnexpected},
		{[]string{two, mixed, "-kernel", "6.12"}, exitOK},
		{[]string{two, mixed, "-kernel", "6.1"}, exitUnexpected}, // and no 6.12
		{[]string{three}, exitInput},
		{[]string{three, "-kernel", "6.1,6.12.7"}, exitOK},
		{[]string{good, two, "-kernel", "6.1,6.12"}, exitInput}, // A has no 6.12
		{[]string{good, same, "-kernel", "lts"}, exitInput},
		{[]string{good, same, "-kernel", "6.1:generic"}, exitInput},
		{[]string{good, same, "-kernel", ","}, exitInput},
		// What is of runs means nothing where none is made.
		{[]string{good, same, "-load", "fork=4"}, exitInput},
		{[]string{good, same, "-smp", "1"}, exitInput},
		{[]string{good, same, "-expect", "stalled"}, exitInput},
		{[]string{good, same, "-repeat", "5"}, exitInput},
		{[]string{good, same, "-artifacts", t.TempDir()}, exitInput},
		{[]string{two, "-cold"}, exitInput},
	} {
		root := newRoot()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(normalise(append([]string{"compare"}, c.args...)))
		err := root.Execute()
		require.Equal(t, c.status, exitStatus(err), "%v: %v\n%s", c.args, err, out.String())
	}
}

// TestCompareNamesItsRuns: of a comparison that cannot be told because of what
// became of its runs, their folder is named; where nothing lies in it, it is not.
func TestCompareNamesItsRuns(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.c")
	require.NoError(t, os.WriteFile(broken, []byte("int f(void) { return nowhere; }\n"), 0o644))
	for _, c := range []struct {
		args  []string
		named bool
	}{
		{[]string{"../../cases/testdata/diffs/refused/init.patch"}, true}, // with its sentence, in a log
		{[]string{broken}, false},
	} {
		root := newRoot()
		var out, told bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&told)
		kept := filepath.Join(t.TempDir(), "kept")
		root.SetArgs(normalise(append([]string{"compare", reportFile(t, "good", 20, 0, 10, "6.1"), "-kernel", "6.1", "-repeat", "2", "-artifacts", kept}, c.args...)))
		require.Equal(t, exitUntold, exitStatus(root.Execute()), told.String())
		if c.named {
			require.Contains(t, told.String(), "the runs are in "+kept)
		} else {
			require.NotContains(t, told.String(), "the runs are in")
		}
		require.Empty(t, out.String())
	}
}

// TestCompareBundlesWithoutRun: why there is nothing to compare in a bundle, with
// its own name and not that of where it was unpacked.
func TestCompareBundlesWithoutRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "case.tar.zst")
	for want, edit := range map[string]string{
		"it is of a Go test, and has no run to compare; the test again: go test ./x -run TestX\ufffd": `s|"case": null|"case": {"name": "TestX", "again": "go test ./x -run TestX\u001b"}|`,
		"logs/run.jsonl: ": `s|COMMAND|none|`,
	} {
		require.Zero(t, forge([]string{"empty", path, `s|RELEASE|6.1.0-1-amd64|`, edit}))
		_, err := reportAt(path)
		require.Equal(t, exitInput, exitStatus(err), "%v", err)
		require.ErrorContains(t, err, "bundle "+path+": "+want)
		require.NotContains(t, err.Error(), "/bundle-")
	}
}

// TestCompareJSON: the output is the result, and nothing else.
func TestCompareJSON(t *testing.T) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(normalise([]string{"compare", reportFile(t, "good", 20, 0, 10, "6.1"), reportFile(t, "slow", 20, 0, 90, "6.1"), "-format", "json"}))
	require.ErrorIs(t, root.Execute(), errUnexpected)
	var r compare.Result
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r))
	require.Equal(t, compare.Different, r.Outcome)
	require.Len(t, r.Pairs[0].Differences, 1)
	require.Equal(t, "apply.time", r.Pairs[0].Differences[0].Figure)
	require.InDelta(t, 99.5/19.5-1, *r.Pairs[0].Differences[0].Change, 1e-9)
	require.False(t, d.More())
}
