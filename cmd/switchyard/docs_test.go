// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/compare"
)

// TestWorkflows holds the workflow files to actionlint, and their actions to
// full commit hashes.
func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob("../../.github/workflows/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var out bytes.Buffer
	linter, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{})
	require.NoError(t, err)
	pinned := regexp.MustCompile(`uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v`)
	for _, f := range files {
		found, err := linter.LintFile(f, nil)
		require.NoError(t, err)
		require.Empty(t, found, out.String())
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		for _, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "uses:") {
				require.Regexp(t, pinned, line)
			}
		}
	}
}

// commandLine finds a command in the text of a document.
var commandLine = regexp.MustCompile("(?m)(?:^|`|  )(?:go run \\./cmd/switchyard|switchyard) ([a-z][^`\n#]*)")

// TestDocumentedCommands: every command and flag that the documents and the
// workflows name exists.
func TestDocumentedCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	more, err := filepath.Glob("../../.github/workflows/*.yml")
	require.NoError(t, err)
	n := 0
	for _, file := range append(append(files, more...), "../../README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range commandLine.FindAllStringSubmatch(string(text), -1) {
			line, _, _ := strings.Cut(m[1], " | ")
			line, _, _ = strings.Cut(line, " > ")
			line, _, _ = strings.Cut(line, "   ") // what follows is an explanation
			line = shellVariable.ReplaceAllString(line, "1")
			checkCommand(t, file, strings.Fields(line))
			n++
		}
	}
	require.GreaterOrEqual(t, n, 8, "the documents' commands were not found")
}

// shellVariable stands in a command for something that fits.
var shellVariable = regexp.MustCompile(`"\$[A-Z_]+"`)

// TestNightlyIsDocumented: what the nightly workflow runs of ours, a person
// can run by hand: docs/ci.md gives each of its commands.
func TestNightlyIsDocumented(t *testing.T) {
	workflow, err := os.ReadFile("../../.github/workflows/nightly.yml")
	require.NoError(t, err)
	doc, err := os.ReadFile("../../docs/ci.md")
	require.NoError(t, err)
	commands := regexp.MustCompile(`(?m)go (?:run \./cmd/switchyard|test) .*$`).FindAllString(string(workflow), -1)
	require.GreaterOrEqual(t, len(commands), 7)
	for _, c := range commands {
		require.Contains(t, strings.Split(string(doc), "\n"), c)
	}
}

func checkCommand(t *testing.T, file string, args []string) {
	t.Helper()
	root := newRoot()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(normalise(args))
	require.NoError(t, err, "%s: %v", file, args)
	require.NotEqual(t, root, cmd, "%s: %v names no command", file, args)
	cmd.InitDefaultHelpFlag()
	require.NoError(t, cmd.ParseFlags(rest), "%s: %v", file, args)
}

// TestSchema: docs/report.schema.json describes every field that a report can
// have, and nothing else; docs/compare.schema.json those of a comparison.
func TestSchema(t *testing.T) {
	for path, of := range map[string]reflect.Type{
		"../../docs/report.schema.json":  reflect.TypeFor[report.Report](),
		"../../docs/compare.schema.json": reflect.TypeFor[compare.Result](),
	} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var schema struct {
			Definitions map[string]struct {
				Properties map[string]json.RawMessage `json:"properties"`
			} `json:"$defs"`
		}
		require.NoError(t, json.Unmarshal(text, &schema))
		for name, fields := range fieldsOf(of) {
			def, ok := schema.Definitions[name]
			require.True(t, ok, "%s lacks %s", path, name)
			var described []string
			for f := range def.Properties {
				described = append(described, f)
			}
			require.ElementsMatch(t, fields, described, "%s: fields of %s", path, name)
		}
	}
}

// TestComparisonsAreValid: what compare writes holds to its schema, with
// differences and without.
func TestComparisonsAreValid(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/compare.schema.json")
	require.NoError(t, err)
	runs := func(n int, verdict string) (r report.Report) {
		for i := range n {
			r.Runs = append(r.Runs, report.Run{
				Verdict: verdict, Expected: "complete", Accel: verdict,
				Transition: report.Transition{Apply: &report.Phase{Done: true, GuestNS: int64(i)}},
			})
		}
		return r
	}
	for _, b := range []report.Report{runs(9, "complete"), runs(9, "stalled"), runs(2, "crashed"), {Runs: []report.Run{{}}}} {
		result, err := compare.Compare("a", runs(9, "complete"), "b", b, compare.Options{})
		require.NoError(t, err)
		var text bytes.Buffer
		require.NoError(t, result.WriteJSON(&text))
		value, err := jsonschema.UnmarshalJSON(&text)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value))
	}
}

// TestReportsAreValid: a report with everything in it, and an empty one, hold
// to the schema.
func TestReportsAreValid(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/report.schema.json")
	require.NoError(t, err)
	rounds, seed := 2, int64(7)
	stack, at := 0, int64(5)
	phase := &report.Phase{
		Rounds: &rounds, Samples: []report.Sample{{}}, Way: report.WayReversal, TurnedNS: 3, SwitchedNS: 4,
		RoundsNS: []int64{1}, SignalsNS: []int64{2}, Stacks: [][]string{{"f+0x1/0x2"}},
		Lanes: []report.Lane{{Looks: []report.Look{{Stack: &stack}}}, {SwitchedNS: &at, Exited: true}}, LanesOmitted: 1,
	}
	for _, r := range []report.Report{
		{},
		{Runs: []report.Run{{Transition: report.Transition{Apply: &report.Phase{Way: report.WayApply, Samples: []report.Sample{}}}}}},
		{Runs: []report.Run{{
			Verdict: "complete", Expected: "complete", Refusals: []refusal.Refusal{{Code: refusal.HunkFailed, File: "fs/a.c", Line: 1, Text: "x"}}, Seed: &seed, Deterministic: &report.Deterministic{Seed: seed},
			Patch:      report.Patch{Functions: []report.Function{{}}},
			Transition: report.Transition{Apply: phase, Revert: phase},
			Stack:      []report.Stacked{{Apply: phase}},
			Blockers:   []report.Blocker{{Stack: []string{"f+0x1/0x2"}}},
			Futures:    []report.Future{{Blockers: []report.Blocker{{}}}},
			Measured:   []report.Measured{{Calls: 3}, {Time: &report.MeasuredTime{}}},
			Interruption: &report.Interruption{
				Windows: report.Windows{Baseline: &report.Window{
					Lateness:  report.Lateness{P50NS: 1, P99NS: 2, P999NS: 3, MaxNS: 3, Count: 9, Missed: 1, VoidCount: 1, VoidNS: 5, UnjudgedNS: 1},
					CPUs:      []report.CPUWindow{{Lateness: report.Lateness{Count: 9}}},
					Starved:   []int{1},
					Histogram: lateness.Histogram{{NS: 1, N: 9}},
				}},
				Witness: &report.Windows{Apply: &report.Window{CPUs: []report.CPUWindow{}}},
				Noise:   "x", Clock: &report.ClockPace{Rate: 1},
			},
			Calls: &report.Calls{
				Functions:   []report.CalledFunction{{Versions: map[string]uint64{"m": 1}, Callers: []report.Caller{{}}, Contexts: map[string]uint64{"kthread": 1}, Unseen: "x"}},
				Unexercised: []string{"vmlinux:f"}, Late: []report.LateCall{{}}, Void: "x", Consistency: &report.Consistency{},
			},
			CutOff: "in step apply", KernelLog: []report.LogLine{{Text: "x"}}, KernelLogOmitted: 1,
			Load: []report.Load{{Readings: []report.Reading{{Errors: 1}}}}, LogReports: []report.LogReport{{}}, Steps: []report.Step{{}},
		}}},
		{Cases: []report.Case{{Result: report.Passed}, {Kernel: "6.1", Result: report.Failed, Output: []string{"x"}}}},
		{Selftests: []report.Selftests{{}, {Scripts: []report.Script{
			{Result: "fail", Expected: "ok", Tests: []report.ScriptTest{{Result: "skip"}}, LogReports: []report.LogReport{{}}},
		}, Steps: []report.Step{{}}}}},
		{Repeats: []report.Repeats{
			report.RepeatsOf(nil, 3, ""),
			report.RepeatsOf([]report.Repeated{{Verdict: "stalled", Measures: []report.Measure{{Name: "apply.time", Unit: report.UnitNS}}, InTheWay: []report.InTheWay{{Kind: "kthread", Function: "f"}}}}, 3, "stalled"),
		}},
		{Searches: []report.Search{{}, {Verdicts: []report.Found{{Seeds: []int64{seed}}}}}},
	} {
		var text bytes.Buffer
		require.NoError(t, r.WriteJSON(&text))
		value, err := jsonschema.UnmarshalJSON(&text)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value))
	}
}

// TestTranscript: the table in the README has the columns that a run prints.
func TestTranscript(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- transcript:")
	require.True(t, found)
	block, _, found := strings.Cut(rest, "<!-- end of transcript -->")
	require.True(t, found)
	var table bytes.Buffer
	report.Report{Runs: []report.Run{{}}}.WriteTable(io.MultiWriter(&table))
	header := strings.Fields(strings.SplitN(table.String(), "\n", 2)[0])
	for _, column := range header {
		require.Contains(t, block, column)
	}
}

// fieldsOf are the JSON fields of each type that one is made of, by the type's
// name in its schema.
func fieldsOf(of reflect.Type) map[string][]string {
	all := map[string][]string{}
	collect(of, all)
	return all
}

func collect(t reflect.Type, all map[string][]string) {
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) { // a text, whatever is in it
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		collect(t.Elem(), all)
		return
	case reflect.Struct:
	default:
		return
	}
	if _, seen := all[t.Name()]; seen {
		return
	}
	all[t.Name()] = []string{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() { // of the one the fields follow
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all[t.Name()] = append(all[t.Name()], name)
		collect(f.Type, all)
	}
}
