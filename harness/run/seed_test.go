// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/mailbox"
)

var update = flag.Bool("update", false, "write the golden files anew")

func seededPlan(seed int64) *mailbox.Plan {
	p := &mailbox.Plan{Seed: seed, StallAfterNS: int64(DefaultStallAfter)}
	for _, name := range []string{"proc-readers", "fork", "pipe"} {
		p.Loads = append(p.Loads, mailbox.Load{Spec: load.Spec{Name: name}})
	}
	return p
}

// TestSeedsMeanTheSame: what a seed stands for never changes, or a seed in a
// report would not show the race again. After a change that is meant, -update,
// and say so in the change's message: seeds from before have lost their meaning.
func TestSeedsMeanTheSame(t *testing.T) {
	const golden = "testdata/seeds.golden"
	var got strings.Builder
	for _, seed := range []int64{0, 1, 2, 17, 1 << 40, 1<<63 - 1} {
		p := seededPlan(seed)
		shift := vary(p)
		text, err := json.Marshal(p)
		require.NoError(t, err)
		fmt.Fprintf(&got, "shift %d %s\n", shift, text)
	}
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

// TestSplitMix holds the generator to the published one's first numbers, from
// the state 1234567.
func TestSplitMix(t *testing.T) {
	d := &draws{1234567}
	for _, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		require.Equal(t, want, d.next())
	}
}

// TestVary: nothing but what may move moves, and within its bounds; every
// speed, and every order of the loads, comes up.
func TestVary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Int64Min(0).Draw(t, "seed")
		p := seededPlan(seed)
		require.Contains(t, shifts, vary(p))
		for _, d := range []int64{p.BeforeApplyNS, p.BeforeRevertNS} {
			require.True(t, d >= 0 && d < int64(mostDelay), "%d", d)
		}
		for _, l := range p.Loads {
			require.True(t, l.DelayNS >= 0 && l.DelayNS < int64(mostDelay))
			require.True(t, l.StaggerNS >= 0 && l.StaggerNS < int64(mostStagger))
			require.True(t, l.RestNS >= int64(leastRest) && l.RestNS < int64(mostRest))
		}
		still := *p
		still.Loads, still.BeforeApplyNS, still.BeforeRevertNS = nil, 0, 0
		require.Equal(t, mailbox.Plan{Seed: seed, StallAfterNS: int64(DefaultStallAfter)}, still)
	})
	orders, speeds := map[string]bool{}, map[int]bool{}
	for seed := range int64(100) {
		p := seededPlan(seed)
		speeds[vary(p)] = true
		var names []string
		for _, l := range p.Loads {
			names = append(names, l.Name)
		}
		orders[strings.Join(names, " ")] = true
		slices.Sort(names)
		require.Equal(t, []string{"fork", "pipe", "proc-readers"}, names)
	}
	require.Len(t, orders, 6)
	require.Len(t, speeds, len(shifts))
}
