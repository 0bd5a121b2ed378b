// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// event is a line of `go test -json`.
func event(action, test, rest string) string {
	if test != "" {
		test = `,"Test":"` + test + `"`
	}
	return `{"Time":"2026-01-01T00:00:00Z","Action":"` + action + `","Package":"example.org/cases"` + test + rest + "}\n"
}

func output(test, text string) string { return event("output", test, `,"Output":"`+text+`\n"`) }

// ended is what a test leaves that ends: PASS, FAIL or SKIP.
func ended(test, verdict, seconds string) string {
	depth := strings.Repeat("    ", strings.Count(test, "/"))
	return output(test, depth+"--- "+verdict+": "+test+" ("+seconds+"s)") + event(strings.ToLower(verdict), test, `,"Elapsed":`+seconds)
}

func began(test string) string { return event("run", test, "") + output(test, "=== RUN   "+test) }

const (
	old   = "6.1.0-56-cloud-amd64"
	young = "6.12.118+deb13-cloud-amd64"
)

// twoKernels is a log with every kind of test in it.
func twoKernels() string {
	return began("TestStack") + began("TestStack/"+old) + began("TestStack/"+young) +
		output("TestStack/"+young, "    stack_test.go:7: not <as> expected | \\u001b[31m") +
		ended("TestStack/"+old, "PASS", "1.50") + ended("TestStack/"+young, "FAIL", "2.00") + ended("TestStack", "FAIL", "0.00") +
		began("TestFutures") + began("TestFutures/knob") + began("TestFutures/knob/"+old) + began("TestFutures/knob/"+old+"/wait") +
		ended("TestFutures/knob/"+old+"/wait", "PASS", "0.10") + ended("TestFutures/knob/"+old, "PASS", "4.00") + ended("TestFutures/knob", "PASS", "4.00") + ended("TestFutures", "PASS", "4.00") +
		began("TestNoKernel") + began("TestNoKernel/row") + ended("TestNoKernel/row", "SKIP", "0.00") + ended("TestNoKernel", "SKIP", "0.00")
}

func TestReadTestLog(t *testing.T) {
	const pkg = "example.org/cases"
	for name, c := range map[string]struct {
		log  string
		want []Case
	}{
		"every kind": {twoKernels() + event("fail", "", `,"Elapsed":9`), []Case{
			{Package: pkg, Name: "TestStack", Kernel: old, Result: Passed, ElapsedNS: 1500e6},
			{Package: pkg, Name: "TestStack", Kernel: young, Result: Failed, ElapsedNS: 2000e6, Output: []string{"    stack_test.go:7: not <as> expected | \x1b[31m"}},
			{Package: pkg, Name: "TestFutures/knob", Kernel: old, Result: Passed, ElapsedNS: 4000e6},
			{Package: pkg, Name: "TestNoKernel", Result: Skipped},
		}},
		"cut off, among other words": {"go: downloading x\n" + began("TestStack") + began("TestStack/"+old) + `{"Time":"2026-01-0`, []Case{
			{Package: pkg, Name: "TestStack", Kernel: old, Result: Failed, Output: []string{"the test did not end"}},
		}},
		"no kernel came to be": {began("TestStack") + output("TestStack", "    no kernel fits") + ended("TestStack", "FAIL", "0.00"), []Case{
			{Package: pkg, Name: "TestStack", Result: Failed, Output: []string{"    no kernel fits"}},
		}},
	} {
		log, err := ReadTestLog(strings.NewReader(c.log))
		require.NoError(t, err, name)
		require.Equal(t, c.want, log.Cases, name)
	}
	for _, bad := range []string{"", "ok  \texample.org 0.1s\n", `{"Action":"x"}` + "\n", `{"seq":1,"kind":"phase"}` + "\n"} {
		_, err := ReadTestLog(strings.NewReader(bad))
		require.ErrorContains(t, err, "go test -json", "%q", bad)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func reportText(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	return b.String()
}

// artifacts is a folder as a CI system puts it together from several jobs.
func artifacts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "one/test.jsonl", twoKernels())
	write(t, dir, "one/evidence/timeline.jsonl", `{"seq":1}`+"\n")
	write(t, dir, "one/evidence/manifest.json", `{"files":[]}`)
	write(t, dir, "one/serial.log", "[    0.000000] Linux version\n")
	write(t, dir, "three/report.json", reportText(t, Report{Runs: []Run{
		{Kernel: Kernel{Release: old}, Patch: Patch{Name: "fix"}, Accel: "kvm", Verdict: "complete", Expected: "complete", Transition: Transition{Apply: &Phase{Done: true, GuestNS: 1e9}}},
		{Kernel: Kernel{Release: young}, Patch: Patch{Name: "fix"}, Verdict: "stalled", Expected: "complete", Reason: "apply not done", Repro: "switchyard run fix"},
	}}))
	write(t, dir, "four/report.json", reportText(t, Report{Selftests: []Selftests{
		{Kernel: Kernel{Release: young}, Accel: "tcg", Modules: "built", Repro: "switchyard selftests -kernel " + young, Scripts: []Script{
			{Name: "test-state.sh", Result: "fail", Expected: "ok", Reason: "livepatch kselftest(s) failed", Status: 1, Tests: []ScriptTest{{"one", "ok"}, {"two", "fail"}}},
			{Name: "test-syscall.sh", Result: "ok", Expected: "ok", WallNS: 2e9},
		}},
		{Kernel: Kernel{Release: old}, Accel: "tcg", Modules: "kernel", Scripts: []Script{
			{Name: "test-state.sh", Result: "skip", Expected: "skip", Reason: "no <state>", Known: "it lacks them", Status: 4},
		}},
	}}))
	write(t, dir, "two/merged.json", reportText(t, Report{Cases: []Case{{Package: "example.org/cases", Name: "TestLate", Kernel: "7.3.4", Result: Passed, ElapsedNS: 1e9}}}))
	return dir
}

// TestMerge: all that is a report or a log is joined, in order, and written in
// each form.
func TestMerge(t *testing.T) {
	dir := artifacts(t)
	out := filepath.Join(dir, "all.json")
	m, err := Merge(dir, out)
	require.NoError(t, err)
	require.Len(t, m.Runs, 2)
	require.Len(t, m.Cases, 5)
	require.Len(t, m.Selftests, 2)
	require.Len(t, m.Files, 4)
	require.False(t, m.AsExpected())
	require.NoError(t, m.Save(out))
	again, err := Merge(dir, out)
	require.NoError(t, err)
	require.Equal(t, m.Report, again.Report, "its own output was merged again")
	all, err := Merge(dir)
	require.NoError(t, err)
	require.Equal(t, m.Report, all.Report, "what is there twice counts once")
	read, err := Read(out)
	require.NoError(t, err)
	require.Equal(t, m.Cases, read.Cases)

	m.Expect([]Planned{{old, "TestStack"}, {"7.3.4", "TestLate"}, {"7.3.4", "TestStack"}, {"7.3.4", "TestNoKernel"}, {old, "TestFutures"}})
	require.Equal(t, []Planned{{"7.3.4", "TestStack"}}, m.Missing)
	var summary, junit bytes.Buffer
	m.WriteSummary(&summary)
	golden(t, "summary.md", summary.String())

	require.NoError(t, m.WriteJUnit(&junit))
	golden(t, "junit.xml", junit.String())
	var parsed struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	require.NoError(t, xml.Unmarshal(junit.Bytes(), &parsed))
	require.Equal(t, 4, parsed.Failures, "TestStack and its part, a run, a script")
	require.Equal(t, 3, parsed.Skipped, "TestNoKernel and its part, a script")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to make it")
	require.Equal(t, string(want), got)
}

// TestMergeRefuses what it cannot read, naming the file; nothing is guessed.
func TestMergeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"nothing":        {"x/readme.txt", "hello", []string{"no report.json and no output"}},
		"newer schema":   {"a/report.json", `{"schema":"switchyard.report/2","runs":[]}`, []string{"a/report.json", `"switchyard.report/2"`, "switchyard.report/1", "the version of switchyard that wrote it"}},
		"other name":     {"a/all.json", `{"schema":"switchyard.report/7"}`, []string{"a/all.json", "switchyard.report/7"}},
		"no schema":      {"a/report.json", `{"runs":[]}`, []string{"a/report.json", `its schema is ""`}},
		"cut off":        {"a/report.json", `{"schema":"switchyard.report/1","runs":[`, []string{"a/report.json", "no whole JSON"}},
		"not a report's": {"a/report.json", `{"schema":"switchyard.report/1","runs":[{"kernel":3}]}`, []string{"a/report.json", "docs/report.schema.json"}},
	} {
		dir := t.TempDir()
		write(t, dir, c.file, c.text)
		_, err := Merge(dir)
		var format *FormatError
		require.True(t, errors.As(err, &format), "%s: %v", name, err)
		for _, w := range c.want {
			require.ErrorContains(t, err, w, name)
		}
	}
	_, err := Merge(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "no such folder")

	dir := artifacts(t)
	write(t, dir, "x/report.json", `{"schema":"switchyard.report/2"}`)
	write(t, dir, "y/report.json", `{`)
	_, err = Merge(dir)
	require.ErrorContains(t, err, "x/report.json")
	require.ErrorContains(t, err, "y/report.json", "all that is wrong, at once")
}

// FuzzReadTestLog: whatever a log holds, reading it ends, and gives cases that
// can be merged and written, or an error.
func FuzzReadTestLog(f *testing.F) {
	f.Add(twoKernels())
	f.Add(began("TestStack") + began("TestStack/"+old))
	f.Add(`{"ImportPath":"example.org/cases [example.org/cases.test]","Action":"build-output","Output":"x.go:1: no\n"}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		log, err := ReadTestLog(strings.NewReader(text))
		if err != nil {
			return
		}
		m := Merged{Report: Report{Cases: log.Cases}, logs: []TestLog{log}}
		var out bytes.Buffer
		m.WriteSummary(&out)
		if err := m.WriteJUnit(&out); err != nil {
			t.Fatal(err)
		}
		if err := m.WriteJSON(&out); err != nil {
			t.Fatal(err)
		}
	})
}
