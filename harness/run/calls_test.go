// SPDX-License-Identifier: Apache-2.0

package run

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// TestLateCallsAreIneffective: a patch that goes out of use behind the core's
// back, while sysfs says that it is applied and no probe looks, is found by the
// calls that run what is below it. By virtual time, so that it is found again
// to the byte.
func TestLateCallsAreIneffective(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "stack_one", "proc-readers=2")
			src, err := patch.Open(filepath.Join("../../cases/testdata", "undone"))
			require.NoError(t, err)
			p.Patches = append(p.Patches, src)
			r, one := deterministic(t, y, p, 1)
			require.Equal(t, "ineffective", r.Verdict, r.Reason)
			require.Contains(t, r.Reason, "calls of cmdline_proc_show() ran code whose time was over: that of stack_one, ")
			require.Contains(t, r.Reason, "after the apply of undone was complete")
			require.Equal(t, r.Reason, again(t, y, p, one), "the same seed, another reason")
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

func again(t *testing.T, y *Yard, p Plan, timeline string) string {
	t.Helper()
	r, two := deterministic(t, y, p, 1)
	require.Equal(t, timeline, two)
	return r.Reason
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
