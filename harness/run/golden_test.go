// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
)

// oldClock makes the guest believe that it is another year. What was saved so
// is as good as old.
type oldClock struct{}

func (oldClock) Cmdline() []string { return []string{"-rtc", "base=2001-02-03T04:05:06"} }
func (oldClock) KArgs() []string   { return nil }

// TestGoldenForks forks a snapshot in this process and, with nothing known, as
// the next would: it is made once, forks say that they are forks, come up in a
// fraction of a boot, and share what is the boot's; their random numbers, and
// the wall clock, are their own.
func TestGoldenForks(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			cache := ownCache(t, "")
			var first string
			var bootWall time.Duration
			forkWall := time.Duration(math.MaxInt64) // the quickest: a busy host holds one up
			var bootID string
			numbers := map[string]bool{}
			const processes, each = 2, 3
			for range processes {
				y := testYard(t)
				cfg := guestConfig(t, y, version)
				machine, err := y.machine(t.Context(), cfg)
				require.NoError(t, err)
				machine.Extra = []vm.Device{oldClock{}}
				for range each {
					cfg.Dir = t.TempDir()
					machine.Dir = cfg.Dir
					began := time.Now()
					g, err := y.forkGolden(t.Context(), cfg, machine)
					require.NoError(t, err)
					number, err := g.Client.ReadFile(t.Context(), "/proc/sys/kernel/random/uuid")
					require.NoError(t, err)
					require.False(t, numbers[string(number)], "two forks drew the same random number")
					numbers[string(number)] = true
					checkClocks(t, g)
					checkGeneration(t, g)

					dir := entry(t, cache)
					if first == "" {
						first, bootWall, bootID = made(t, dir), time.Since(began), g.Client.Hello().BootID
						require.NotEmpty(t, bootID)
					}
					require.Equal(t, first, made(t, dir), "made again")
					require.Equal(t, bootID, g.Client.Hello().BootID)
					require.Equal(t, StartFork, g.Origin.Start)
					require.True(t, strings.HasSuffix(dir, "/"+g.Origin.Snapshot), "%s is not %s", g.Origin.Snapshot, dir)
					require.Positive(t, g.Origin.Age)
					require.Less(t, g.Origin.Age, time.Since(began)+time.Hour)
					require.Empty(t, g.Origin.Failures)
					forkWall = min(forkWall, g.StartWall)
					require.NoError(t, g.Close(t.Context()))
				}
			}
			t.Logf("made and forked in %v, forked in %v", bootWall, forkWall)
			require.Less(t, forkWall, bootWall/4)
		})
	}
}

// checkGeneration: the kernel itself noticed that it is a copy, where it can;
// the others have only the agent's word.
func checkGeneration(t *testing.T, g *Guest) {
	t.Helper()
	const noticed = "crng reseeded due to virtual machine fork" // drivers/char/random.c
	found := func() bool {
		return slices.ContainsFunc(g.Timeline(), func(e observe.Event) bool {
			return e.KernelLog != nil && strings.Contains(e.KernelLog.Text, noticed)
		})
	}
	if g.Kit.Can(kernels.VMGenID) { // by a work queue, in its own time
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := g.rec.wait(ctx, 0, func(observe.Event) (bool, error) { return found(), nil })
		require.NoError(t, err, "the kernel did not notice")
		return
	}
	require.NoError(t, g.Fence(t.Context()))
	require.False(t, found())
}

// checkClocks: the wall clock is the host's, the monotonic one goes on from the
// snapshot's.
func checkClocks(t *testing.T, g *Guest) {
	t.Helper()
	var saved int64
	for _, e := range guestEvents(g.Timeline()) {
		saved = max(saved, e.T)
	}
	require.Positive(t, saved, "a fork knows nothing of its past")
	woke := g.Client.Hello().UptimeNS
	require.Greater(t, woke, int64(0))
	require.Less(t, woke-saved, int64(time.Minute), "the monotonic clock jumped")

	stat, err := g.Client.ReadFile(t.Context(), "/proc/stat")
	require.NoError(t, err)
	uptime, err := g.Client.ReadFile(t.Context(), "/proc/uptime")
	require.NoError(t, err)
	now := time.Now()
	var booted int64
	for line := range strings.Lines(string(stat)) {
		_, _ = fmt.Sscanf(line, "btime %d", &booted)
	}
	up, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	require.NoError(t, err)
	wall := time.Unix(booted, 0).Add(time.Duration(up * float64(time.Second)))
	require.WithinDuration(t, now, wall, 20*time.Second, "the wall clock is not the host's")
}
