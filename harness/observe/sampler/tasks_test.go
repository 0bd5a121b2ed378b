// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func showTask(t testing.TB, root string, pid, tid, state int) {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprint(pid), "task", fmt.Sprint(tid))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "patch_state"), fmt.Appendf(nil, "%d\n", state), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "comm"), fmt.Appendf(nil, "task %d\n", tid), 0o644))
}

const never = math.MaxInt

// known is what a scout finds under root, and has told.
func known(t *testing.T, root string) (*tasks, func()) {
	t.Helper()
	s := &tasks{scout: newScout(root)}
	s.scout.news = make(chan news, 10_000)
	proc, err := openFolder(root)
	require.NoError(t, err)
	t.Cleanup(func() { s.close(); proc.close() })
	survey := func() {
		s.scout.survey(t.Context(), proc)
		s.hear(never)
	}
	survey()
	return s, survey
}

func TestTasksConverge(t *testing.T) {
	root := t.TempDir()
	for tid := range 10 {
		showTask(t, root, 100, 100+tid, -1)
	}
	showTask(t, root, 7, 7, -1)
	require.NoError(t, os.Mkdir(filepath.Join(root, "sys"), 0o755)) // /proc holds other folders
	s, survey := known(t, root)
	require.Equal(t, 11, s.total())

	// A transition to 1: three are left.
	for tid := range 10 {
		showTask(t, root, 100, 100+tid, min(tid/3, 1))
	}
	showTask(t, root, 7, 7, 1)
	s.restart()
	require.Equal(t, 11, s.sought)
	s.sweep(1, never)
	require.Zero(t, s.sought)
	require.Len(t, s.lefts, 3)

	// A child of one that is left is left itself until it switches.
	showTask(t, root, 200, 200, 0)
	survey()
	s.sweep(1, never)
	require.Len(t, s.lefts, 4)

	showTask(t, root, 100, 101, 1)
	require.NoError(t, os.Truncate(s.scout.known[102].file, 0)) // ended: the read fails
	var seen []string
	poll := func() {
		s.poll(1, never, func(task *task, state int, exited bool) {
			seen = append(seen, fmt.Sprint(task.comm, " ", state, " ", exited))
		})
	}
	poll()
	require.ElementsMatch(t, []string{"task 101 1 false", "task 102 0 true"}, seen)
	require.Len(t, s.lefts, 2)

	// A walk lets go of what is no longer there, but not of one that is left:
	// its end is for the poll to tell.
	require.NoError(t, os.Truncate(s.scout.known[100].file, 0))
	require.NoError(t, os.RemoveAll(filepath.Join(root, "100")))
	survey()
	require.Equal(t, 3, s.total(), "7, 200, and 100 that is left")
	require.Len(t, s.lefts, 2)
	seen = nil
	poll()
	require.Equal(t, []string{"task 100 0 true"}, seen)
	require.Equal(t, 2, s.total())
	require.EqualValues(t, 2, s.scout.open.Load(), "descriptors")
	s.finish(func(task *task) { seen = append(seen, task.comm) })
	require.Equal(t, "task 200", seen[1])
}

// With fewer descriptors than tasks all are looked at, and as many are kept open
// as may be.
func TestFewDescriptors(t *testing.T) {
	root := t.TempDir()
	for tid := range 30 {
		showTask(t, root, 100, 100+tid, tid%2)
	}
	s := &tasks{scout: newScout(root)}
	require.Positive(t, s.scout.most)
	s.scout.most = 10
	proc, err := openFolder(root)
	require.NoError(t, err)
	t.Cleanup(func() { s.close(); proc.close() })
	s.scout.survey(t.Context(), proc)
	s.hear(never)
	require.EqualValues(t, 10, s.scout.open.Load())
	s.restart()
	s.sweep(1, never)
	require.Len(t, s.lefts, 15)
	s.poll(1, never, func(*task, int, bool) { t.Error("none has switched") })
}

// TestEndOfAWalk: of a walk that ends in the middle, because the watch does, no
// descriptor stays open.
func TestEndOfAWalk(t *testing.T) {
	root := t.TempDir()
	for tid := range 50 {
		showTask(t, root, 100, 100+tid, 0)
	}
	proc, err := openFolder(root)
	require.NoError(t, err)
	defer proc.close()
	s := &tasks{scout: newScout(root)}
	s.scout.news = make(chan news, 20)
	ctx, cancel := context.WithCancel(t.Context())
	walked := make(chan struct{})
	go func() { defer close(walked); s.scout.survey(ctx, proc) }()
	for len(s.scout.news) < cap(s.scout.news) { // it waits with the next
		runtime.Gosched()
	}
	cancel()
	<-walked
	s.close()
	open, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, fd := range open {
		to, _ := os.Readlink(fd)
		require.NotContains(t, to, root+"/100/")
	}
}

// However many tasks there are, a step ends soon after its deadline.
func TestStepsAreBounded(t *testing.T) {
	root := t.TempDir()
	const n = 3000
	for i := range n {
		showTask(t, root, 1000+i, 1000+i, 0)
	}
	s, _ := known(t, root)
	s.restart()
	for turn := 1; s.sought > 0; turn++ {
		before := s.sought
		s.sweep(1, now()) // a deadline that is over at once
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

// Tasks come and go in any order, transitions begin in the middle of it: the
// counts stay right, and no descriptor is lost.
func TestTasksComeAndGo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(t, err)
		there := map[int]int{} // tid to state
		s := &tasks{scout: newScout(root)}
		s.scout.news = make(chan news, 10_000)
		proc, err := openFolder(root)
		require.NoError(t, err)
		defer proc.close()
		defer s.close()
		target := 1
		for range rapid.IntRange(1, 40).Draw(rt, "turns") {
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0: // one comes or changes
				tid := rapid.IntRange(1, 9).Draw(rt, "tid")
				there[tid] = rapid.IntRange(-1, 1).Draw(rt, "state")
				showTask(t, root, tid, tid, there[tid])
			case 1: // one goes
				tid := rapid.IntRange(1, 9).Draw(rt, "tid")
				if _, ok := there[tid]; ok {
					require.NoError(t, os.Truncate(fmt.Sprintf("%s/%d/task/%d/patch_state", root, tid, tid), 0))
					require.NoError(t, os.RemoveAll(fmt.Sprintf("%s/%d", root, tid)))
					delete(there, tid)
				}
			case 2:
				target = 1 - target
				s.restart()
			case 3:
				s.poll(target, never, func(*task, int, bool) {})
			case 4:
				s.finish(func(*task) {})
			}
			s.scout.survey(t.Context(), proc)
			s.hear(never)
			s.sweep(target, never)
			if s.sought != 0 {
				rt.Fatalf("%d unknown after a whole sweep", s.sought)
			}
		}
		s.restart()
		s.scout.survey(t.Context(), proc)
		s.hear(never)
		s.sweep(target, never)
		want := 0
		for _, state := range there {
			if state == 1-target {
				want++
			}
		}
		if len(s.lefts) != want || s.total() != len(there) || int(s.scout.open.Load()) != len(there) {
			rt.Fatalf("left %d of %d, %d descriptors; should be %d of %d", len(s.lefts), s.total(), s.scout.open.Load(), want, len(there))
		}
	})
}

func TestReversalMakesAllUnknown(t *testing.T) {
	root := t.TempDir()
	showTask(t, root, 5, 5, 0)
	showTask(t, root, 6, 6, 1)
	s, _ := known(t, root)
	s.restart()
	s.sweep(1, never)
	require.Equal(t, 5, s.lefts[0].tid)
	s.restart()
	s.sweep(0, never)
	require.Len(t, s.lefts, 1)
	require.Equal(t, 6, s.lefts[0].tid)
}
