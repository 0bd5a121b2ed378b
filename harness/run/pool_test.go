// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPool: the QEMU that waits becomes the next fork; one that died while it
// waited, or waits for a snapshot that was made again since, does no harm; they
// never are more than asked for, and end with the Yard.
func TestPool(t *testing.T) {
	cache := seededCache(t)
	mark := mark(t)
	y := testYard(t)
	y.pool = &pool{size: 2}
	defer y.Close()
	cfg := guestConfig(t, y, "6.1")
	next := func() *Guest {
		g := start(t, y, cfg)
		require.Equal(t, StartFork, g.Origin.Start)
		require.Empty(t, g.Origin.Failures)
		require.NoError(t, g.Close(t.Context()))
		y.pool.starting.Wait()
		return g
	}
	next()
	dir := entry(t, cache)
	first := made(t, dir)
	waiting := await(t, mark, 1)
	require.Equal(t, waiting[0], next().Machine.Pid(), "another QEMU was started")

	// Killed while it waits, and seen or not when it is taken.
	for range 2 {
		waiting = await(t, mark, 1)
		require.NoError(t, syscall.Kill(waiting[0], syscall.SIGKILL))
		require.NotEqual(t, waiting[0], next().Machine.Pid())
	}
	require.Equal(t, first, made(t, dir), "the snapshot was thrown away for it")

	// Made again by another process, with the same name.
	s, err := y.golden(t.Context(), cfg, must(y.machine(t.Context(), cfg))(t))
	require.NoError(t, err)
	await(t, mark, 1)
	ready, err := s.Ready(t.Context(), s.machine)
	require.NoError(t, err)
	defer ready.Close()
	waiting = await(t, mark, 2)
	for _, pid := range waiting { // and it has the memory
		require.Eventually(t, func() bool {
			maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
			return bytes.Contains(maps, []byte(dir+"/ram"))
		}, 30*time.Second, time.Millisecond)
	}
	copied := t.TempDir()
	copyTree(t, dir, copied)
	forge(t, y.Store, filepath.Base(dir), copied, func(dir string) { about(t, dir, func(map[string]any) {}) })
	own := s.machine
	own.Dir = t.TempDir()
	_, err = ready.Fork(t.Context(), own)
	require.ErrorContains(t, err, "made again meanwhile")
	require.NotContains(t, waiting, next().Machine.Pid())
	second := made(t, dir)
	require.NotEqual(t, first, second)

	s, err = y.golden(t.Context(), cfg, must(y.machine(t.Context(), cfg))(t))
	require.NoError(t, err)
	for range 5 {
		y.pool.refill(s)
	}
	y.pool.starting.Wait()
	require.Len(t, y.pool.waiting, 2)
	await(t, mark, 2)

	y.pool.refill(s) // one that is being started counts as well
	y.Close()
	await(t, mark, 0)
	g := start(t, y, cfg) // a closed pool still forks
	require.Equal(t, StartFork, g.Origin.Start)
	require.Equal(t, second, made(t, dir))
}

// await waits until n QEMUs have mark.
func await(t *testing.T, mark string, n int) (pids []int) {
	t.Helper()
	require.Eventually(t, func() bool {
		pids = qemus(t, mark)
		return len(pids) == n
	}, 30*time.Second, 10*time.Millisecond, "%d QEMUs", n)
	return pids
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}
