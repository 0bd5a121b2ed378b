// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
)

// TestLateCallsAreIneffective: a patch that goes out of use behind the core's
// back, while sysfs says that it is applied and no probe looks, is found by the
// calls that run what is below it. By virtual time, so that it is found again
// to the byte; from its bundle too.
func TestLateCallsAreIneffective(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "stack_one", "")
			src, err := patch.Open(filepath.Join("../../cases/testdata", "undone"))
			require.NoError(t, err)
			p.Patches, p.Bundle, p.Interruption = append(p.Patches, src), bundle.Always, true
			r, one := deterministic(t, y, p, 1)
			require.Equal(t, "ineffective", r.Verdict, r.Reason)
			require.Contains(t, r.Reason, "calls of cmdline_proc_show() ran code whose time was over: that of stack_one, ")
			require.Contains(t, r.Reason, "after the apply of undone was complete")
			once := rehearsed(t, y, r)
			require.True(t, once.Same, "%s: %s", once.Answer, once.Run.Reason)
			text, err := os.ReadFile(filepath.Join(once.Run.Artifacts.Dir, observe.TimelineFile))
			require.NoError(t, err)
			require.True(t, once.ToTheByte, firstDifference(one, string(text)))
			requireListed(t, once.Run.Artifacts.Dir)
			requireListed(t, r.Artifacts.Dir)
			require.Equal(t, r.Reason, once.Run.Reason, "the same seed, another reason")
			require.NotNil(t, r.Calls)
			f := r.Calls.Functions[0]
			require.NotZero(t, f.Old, "before the first patch")
			require.NotZero(t, f.Versions["stack_one"])
			require.NotZero(t, f.Versions["undone"])
			require.NotZero(t, f.AfterCompletion)
			require.Less(t, f.AfterCompletion, f.Versions["stack_one"], "those that ran when it was the only one are right")
			require.Equal(t, r.Calls.Old+r.Calls.New, f.Contexts["system call"])
			require.Zero(t, r.Calls.Lost)
		})
	}
}

// rehearsed does a run once more, from its bundle.
func rehearsed(t *testing.T, y *Yard, r report.Run) Once {
	t.Helper()
	require.Equal(t, bundle.FileName, r.Artifacts.Bundle, "%v", r.Warnings)
	o, err := bundle.Open(filepath.Join(r.Artifacts.Dir, r.Artifacts.Bundle), t.TempDir(), bundle.DefaultLimits)
	require.NoError(t, err)
	re, err := y.Rehearsal(t.Context(), Repro{Bundle: o})
	require.NoError(t, err)
	require.Empty(t, re.Notes)
	require.Equal(t, *o.Interruption, o.Timer != nil, "the module of the measurement")
	if o.Timer != nil {
		require.Equal(t, o.File(o.Timer.File), re.Timer.Path)
	}
	once, err := y.Again(t.Context(), re, t.TempDir())
	require.NoError(t, err)

	// An older bundle says nothing of what was seen.
	calls, interruption := o.Calls, o.Interruption
	o.Calls, o.Interruption = nil, nil
	old, err := y.Rehearsal(t.Context(), Repro{Bundle: o})
	require.NoError(t, err)
	require.True(t, old.Calls && old.Interruption)
	require.Len(t, old.Notes, 1)
	no := false
	o.Calls, o.Interruption = &no, &no
	none, err := y.Rehearsal(t.Context(), Repro{Bundle: o})
	require.NoError(t, err)
	require.False(t, none.Calls || none.Interruption)
	o.Calls, o.Interruption = calls, interruption
	return once
}

// TestUnexercised: a run that nobody calls the new code in says so, by name.
func TestUnexercised(t *testing.T) {
	y := testYard(t)
	p := testPlan(t, y, "6.1", "stack_one", "")
	p.Loads = []load.Spec{}
	r, _ := deterministic(t, y, p, 1)
	require.Equal(t, "complete", r.Verdict, r.Reason)
	require.Equal(t, []string{"vmlinux:cmdline_proc_show"}, r.Calls.Unexercised)
	require.True(t, slices.ContainsFunc(r.Warnings, func(w string) bool {
		return strings.HasPrefix(w, "unexercised: ") && strings.Contains(w, "cmdline_proc_show()")
	}), "%v", r.Warnings)
}
