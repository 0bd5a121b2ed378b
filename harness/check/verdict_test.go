// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestJudge: what explains the most wins.
func TestJudge(t *testing.T) {
	done := Phase{Name: "apply", Started: true, Done: true}
	stalled := Phase{Name: "apply", Started: true, Took: 40 * time.Second, TasksLeft: 2, Blockers: []string{"cat/97 asleep on f"}}
	report := []LogReport{{Kind: "oops", Title: "kernel BUG at x.c"}}
	for _, c := range []struct {
		name     string
		evidence Evidence
		verdict  Verdict
		reason   string
	}{
		{"nothing wrong", Evidence{Phases: []Phase{done}}, VerdictComplete, ""},
		{"stall", Evidence{Phases: []Phase{stalled}}, VerdictStalled, "apply not done after 40.0 s of guest time, 2 tasks left: cat/97 asleep on f"},
		{"refusal", Evidence{Refusal: "no"}, VerdictRefused, "no"},
		{"a probe", Evidence{Phases: []Phase{done}, WrongProbes: []string{"old"}}, VerdictIneffective, "old"},
		{"a probe in a stall says nothing", Evidence{Phases: []Phase{stalled}, WrongProbes: []string{"old"}}, VerdictStalled, ""},
		{"a load", Evidence{Phases: []Phase{done}, WrongLoads: []string{"torn"}, WrongProbes: []string{"old"}}, VerdictInconsistent, "torn"},
		{"a leak", Evidence{Phases: []Phase{done}, Leaks: []string{"module a", "livepatch b"}}, VerdictLeaked, "after the revert there is still module a, livepatch b"},
		{"death", Evidence{Phases: []Phase{stalled}, Death: errors.New("gone")}, VerdictLost, "gone"},
		{"a report explains a death", Evidence{Phases: []Phase{stalled}, Death: errors.New("gone"), Reports: report}, VerdictCrashed, "the kernel reported: kernel BUG at x.c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			verdict, reason := Judge(c.evidence)
			require.Equal(t, c.verdict, verdict)
			require.Contains(t, reason, c.reason)
		})
	}
}

// TestExpectations: each holds of what it names, and of nothing else.
func TestExpectations(t *testing.T) {
	cat := observe.Blocker{Comm: "cat", Kind: UserTask, Reason: observe.Asleep, Function: "f"}
	worker := observe.Blocker{Comm: "w", Kind: KThread, Reason: observe.Running}
	complete := Outcome{Verdict: VerdictComplete}
	stall := Outcome{Verdict: VerdictStalled, Blockers: []observe.Blocker{worker, cat}}
	refusal := Outcome{Verdict: VerdictRefused, Reason: "symbol 'x' not found"}
	for _, c := range []struct {
		e     Expectation
		o     Outcome
		holds bool
	}{
		{Complete, complete, true},
		{Complete, stall, false},
		{Stalled(), stall, true},
		{Stalled(), complete, false},
		{Stalled(Named("cat"), Kind(UserTask), AsleepOn("f")), stall, true},
		{Stalled(Named("cat"), Kind(KThread)), stall, false}, // traits of two tasks
		{Stalled(AsleepOn("g")), stall, false},
		{Refused("symbol '.*' not found"), refusal, true},
		{Refused("version magic"), refusal, false},
		{Refused("."), complete, false},
	} {
		err := c.e.Check(c.o)
		if c.holds {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "expected "+c.e.Text)
	}
}
