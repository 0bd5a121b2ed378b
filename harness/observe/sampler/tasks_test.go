// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func showTask(t testing.TB, root string, pid, tid, state int) {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprint(pid), "task", fmt.Sprint(tid))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "patch_state"), fmt.Appendf(nil, "%d\n", state), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "comm"), fmt.Appendf(nil, "task %d\n", tid), 0o644))
}

const never = math.MaxInt64

func TestTasksConverge(t *testing.T) {
	root := t.TempDir()
	for tid := range 10 {
		showTask(t, root, 100, 100+tid, -1)
	}
	showTask(t, root, 7, 7, -1)
	require.NoError(t, os.Mkdir(filepath.Join(root, "sys"), 0o755)) // /proc holds other folders
	s, err := newTasks(root)
	require.NoError(t, err)
	defer s.close()
	require.True(t, s.discover(never))
	require.Len(t, s.order, 11)

	// A transition to 1: three are left, one of them exits.
	for tid := range 10 {
		showTask(t, root, 100, 100+tid, min(tid/3, 1))
	}
	showTask(t, root, 7, 7, 1)
	s.restart()
	require.Equal(t, 11, s.sought)
	s.sweep(1, never)
	require.Zero(t, s.sought)
	require.Len(t, s.lefts, 3)

	// Children of those left are left themselves until they switch.
	showTask(t, root, 200, 200, 0)
	require.True(t, s.discover(never))
	s.sweep(1, never)
	require.Len(t, s.lefts, 4)
	s.identify(never)

	showTask(t, root, 100, 101, 1)
	require.NoError(t, os.Truncate(s.stateFile(s.byTID[102]), 0)) // ended: the read fails
	var seen []string
	s.poll(1, never, func(task *task, state int, exited bool) {
		seen = append(seen, fmt.Sprint(task.comm, " ", state, " ", exited))
	})
	require.ElementsMatch(t, []string{"task 101 1 false", "task 102 0 true"}, seen)
	require.Len(t, s.lefts, 2)

	// A walk lets go of what is no longer there, but not of one that is left:
	// its end is for the poll to tell.
	require.NoError(t, os.RemoveAll(filepath.Join(root, "100")))
	require.True(t, s.discover(never))
	require.NotNil(t, s.byTID[100])
	require.Nil(t, s.byTID[109])
}

// However many tasks there are, a step ends soon after its deadline.
func TestStepsAreBounded(t *testing.T) {
	root := t.TempDir()
	const n = 3000
	for i := range n {
		showTask(t, root, 1000+i, 1000+i, 0)
	}
	s, err := newTasks(root)
	require.NoError(t, err)
	defer s.close()
	steps := 0
	for !s.discover(now()) { // a deadline that is over at once
		steps++
	}
	require.GreaterOrEqual(t, steps, n-1, "a process a step")
	s.restart()
	for turn := 1; s.sought > 0; turn++ {
		before := s.sought
		s.sweep(1, now())
		require.LessOrEqual(t, before-s.sought, 8, "tasks in one step")
		require.Less(t, turn, n)
	}
	require.Len(t, s.lefts, n)
	looked := 0
	for range 50 {
		before := s.again
		s.poll(1, now(), func(*task, int, bool) {})
		looked += (s.again - before + n) % n
	}
	require.LessOrEqual(t, looked, 50*4)
	require.Positive(t, looked, "and goes on where it stopped")
}

func TestReversalMakesAllUnknown(t *testing.T) {
	root := t.TempDir()
	showTask(t, root, 5, 5, 0)
	showTask(t, root, 6, 6, 1)
	s, err := newTasks(root)
	require.NoError(t, err)
	defer s.close()
	s.discover(never)
	s.restart()
	s.sweep(1, never)
	require.Equal(t, 5, s.lefts[0].tid)
	s.restart()
	s.sweep(0, never)
	require.Len(t, s.lefts, 1)
	require.Equal(t, 6, s.lefts[0].tid)
}
