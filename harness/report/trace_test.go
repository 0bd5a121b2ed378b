// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
)

// tracePoint is an event of the Trace Event Format.
type tracePoint struct {
	Name string         `json:"name"`
	Ph   string         `json:"ph"`
	TS   *float64       `json:"ts"`
	Dur  *float64       `json:"dur"`
	PID  *int           `json:"pid"`
	TID  *int           `json:"tid"`
	Args map[string]any `json:"args"`
}

func traced(t *testing.T, name string) []tracePoint {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, report.WriteTrace(&text, filepath.Join("testdata/logs", name)))
	var file struct {
		TraceEvents []tracePoint `json:"traceEvents"`
	}
	require.NoError(t, json.Unmarshal(text.Bytes(), &file))
	return file.TraceEvents
}

// TestTraceIsWellFormed: what a viewer of the format asks of each event.
func TestTraceIsWellFormed(t *testing.T) {
	for _, name := range []string{"complete", "stalled", "refused"} {
		named := map[[2]int]bool{}
		open := map[[2]int][]string{}
		last := map[[2]int]float64{}
		for _, e := range traced(t, name) {
			require.NotNil(t, e.PID, e.Name)
			require.NotNil(t, e.TID, e.Name)
			require.NotNil(t, e.TS, e.Name)
			require.NotEmpty(t, e.Name)
			track := [2]int{*e.PID, *e.TID}
			switch e.Ph {
			case "M":
				require.NotEmpty(t, e.Args["name"])
				named[track] = true
				continue
			case "X":
				require.NotNil(t, e.Dur, e.Name)
				require.GreaterOrEqual(t, *e.Dur, 0.0, e.Name)
			case "B":
				open[track] = append(open[track], e.Name)
			case "E":
				n := len(open[track])
				require.Positive(t, n, "%s ends that did not begin", e.Name)
				require.Equal(t, open[track][n-1], e.Name)
				open[track] = open[track][:n-1]
			case "i":
			case "C":
				require.Contains(t, e.Args, "value")
			default:
				t.Errorf("%s: %s has an unknown phase %q", name, e.Name, e.Ph)
			}
			if e.Ph == "B" || e.Ph == "E" {
				require.GreaterOrEqual(t, *e.TS, last[track], "%s goes back", e.Name)
				last[track] = *e.TS
			}
			if e.Ph != "C" {
				require.True(t, named[track], "%s is on a track without a name", e.Name)
			}
		}
		for track, names := range open {
			require.Empty(t, names, "%s: %v does not end", name, track)
		}
	}
}

// TestTraceHoldsTheRun: the clocks are brought together, and what the report
// counts is there.
func TestTraceHoldsTheRun(t *testing.T) {
	r := logged(t, "complete").Runs[0]
	steps := map[string]float64{}
	rounds := 0
	var apply tracePoint
	for _, e := range traced(t, "complete") {
		switch {
		case e.Ph == "B" || e.Ph == "E":
			steps[e.Ph+" "+e.Name] = *e.TS
		case e.Ph == "X" && e.Name == "apply":
			apply = e
		case strings.HasPrefix(e.Name, "round "):
			rounds++
		}
	}
	require.Equal(t, *r.Transition.Apply.Rounds+*r.Transition.Revert.Rounds, rounds)
	require.InDelta(t, float64(r.Transition.Apply.GuestNS)/1e3, *apply.Dur, 0.01)
	// By the host's clock the transition lies in the step that waits for it.
	require.Greater(t, *apply.TS, steps["B apply"])
	require.Less(t, *apply.TS+*apply.Dur, steps["E apply"])
}
