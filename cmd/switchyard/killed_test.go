// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
)

// TestKilledRunIsReported kills a run in the middle of a transition that does
// not end: its logs still tell what was seen, and that it was cut off.
func TestKilledRunIsReported(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("switchyard", "run", "../../cases/testdata/doze", "-kernel", "6.1", "-load", "pipe=1", "-artifacts", dir)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.HasSuffix(lines.Text(), ": apply") {
			break
		}
	}
	// Once the dozer was examined there is something to tell.
	require.Eventually(t, func() bool {
		r, err := report.FromFolder(dir)
		return err == nil && len(r.Runs) == 1 && dozer(r.Runs[0]) != nil
	}, 5*time.Minute, 100*time.Millisecond, "the run never came so far")
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()

	out, err := exec.Command("switchyard", "report", dir).Output()
	var failed *exec.ExitError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, exitUnexpected, failed.ExitCode())
	require.Contains(t, string(out), "cut off (expected complete)")
	require.Contains(t, string(out), `the run was cut off in step "apply"`)

	r, err := report.FromFolder(dir)
	require.NoError(t, err)
	run := r.Runs[0]
	require.Contains(t, run.CutOff, "apply")
	require.Empty(t, run.Verdict)
	require.Equal(t, "tcg", run.Accel)
	require.NotEmpty(t, run.Kernel.Release)
	require.Len(t, run.Patch.Functions, 1)
	require.False(t, run.Transition.Apply.Done)
	require.NotEmpty(t, run.Transition.Apply.Samples)
	require.NotNil(t, dozer(run))
	require.Contains(t, run.Diagnosis[0], "doze_nap")
	require.Equal(t, run.Diagnosis[0], run.Blockers[0].Diagnosis)
	require.NotEmpty(t, run.Load[0].Readings)
}

// dozer is the lane of the task that sleeps in the patched function.
func dozer(r report.Run) *report.Lane {
	if r.Transition.Apply == nil {
		return nil
	}
	for _, l := range r.Transition.Apply.Lanes {
		if l.Task == "dozer" && len(l.Looks) > 0 && l.Looks[0].Function == "doze_nap" {
			return &l
		}
	}
	return nil
}
