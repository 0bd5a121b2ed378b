// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/report"
)

// TestSoak forks one snapshot again and again, and applies, checks, reverts
// and unloads a livepatch in each: a few times, or SWITCHYARD_SOAK times. Every
// verdict is right, every guest a fork, and the snapshot the same throughout.
func TestSoak(t *testing.T) {
	n := 5
	if text := os.Getenv("SWITCHYARD_SOAK"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err, "SWITCHYARD_SOAK")
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			y.pool = &pool{size: 1}
			defer y.Close()
			p := testPlan(t, y, version, "cmdline", "")
			p.Guest.CPUs, p.Loads = 1, []load.Spec{}
			names := map[string]int{}
			var walls []time.Duration
			var cpu, longest time.Duration
			var slowest report.Run
			for i := range n + 1 {
				p.Dir = filepath.Join(t.TempDir(), strconv.Itoa(i))
				began := time.Now()
				r, err := y.Run(t.Context(), p)
				require.NoError(t, err)
				require.Equal(t, "complete", r.Verdict, "run %d: %s", i, r.Reason)
				require.NotNil(t, r.Transition.Apply)
				require.NotNil(t, r.Transition.Revert)
				require.True(t, r.Transition.Apply.Done && r.Transition.Revert.Done)
				if i == 0 { // it may have made the snapshot
					continue
				}
				require.Equal(t, StartFork, r.Machine.Start, "run %d: %v", i, r.Machine.SnapshotFailures)
				require.Empty(t, r.Machine.SnapshotFailures)
				names[r.Machine.Snapshot.Name]++
				walls = append(walls, time.Since(began))
				if wall := time.Since(began); wall > longest {
					longest, slowest = wall, r
				}
				cpu += time.Duration(r.Machine.CPUNS)
				require.NoError(t, os.RemoveAll(p.Dir))
			}
			require.Len(t, names, 1, "snapshots that were forked")
			slices.Sort(walls)
			for _, step := range slowest.Steps {
				t.Logf("the longest: %s: %v", step.Name, time.Duration(step.WallNS).Round(time.Millisecond))
				if step.Name == stepBoot { // less what the start itself took
					t.Logf("the longest: of it, waiting for its turn (-vms): %v", time.Duration(step.WallNS-slowest.Machine.StartWallNS).Round(time.Millisecond))
				}
			}
			t.Logf("%d of %d right; wall per run: median %v, longest %v; CPU of QEMU per run: %v",
				len(walls), n, walls[len(walls)/2].Round(time.Millisecond), walls[len(walls)-1].Round(time.Millisecond), (cpu / time.Duration(n)).Round(time.Millisecond))
		})
	}
}
