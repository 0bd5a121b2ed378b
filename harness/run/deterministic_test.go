// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
)

// versions are the kernels that these tests run.
var versions = []string{"6.1", "6.12"}

func testYard(t *testing.T) *Yard {
	t.Helper()
	y, err := NewYard(Options{QEMU: os.Getenv("SWITCHYARD_QEMU"), Accel: "tcg"})
	require.NoError(t, err)
	return y
}

// testPlan is a plan for a patch of the cases'.
func testPlan(t *testing.T, y *Yard, version, name, loads string) Plan {
	t.Helper()
	found, err := y.Catalogue.Select(t.Context(), version)
	require.NoError(t, err)
	src, err := patch.Open(filepath.Join("../../cases/testdata", name))
	require.NoError(t, err)
	p := Plan{Kernel: found[0], Selector: version, Patches: []*patch.Source{src}, Calls: true}
	if loads != "" {
		p.Loads, err = load.ParseSpec(loads)
		require.NoError(t, err)
	}
	return p
}

func deterministic(t *testing.T, y *Yard, p Plan, seed int64) (report.Run, string) {
	t.Helper()
	p.Dir = t.TempDir()
	r, err := y.Deterministic(t.Context(), p, seed)
	require.NoError(t, err)
	require.NotNil(t, r.Deterministic, "%+v", r)
	text, err := os.ReadFile(filepath.Join(p.Dir, observe.TimelineFile))
	require.NoError(t, err)
	return r, string(text)
}

// repeats is how many seeds are tried twice: a few, or SWITCHYARD_SEEDS.
func repeats(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("SWITCHYARD_SEEDS")
	if text == "" {
		return 3
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, "SWITCHYARD_SEEDS")
	return n
}

// TestSeedsRepeat: a seed gives the same timeline to the byte, another seed
// another.
func TestSeedsRepeat(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "cmdline", "")
			different := map[string]bool{}
			for seed := range repeats(t) {
				first, one := deterministic(t, y, p, seed)
				require.Equal(t, "complete", first.Verdict, "seed %d: %s", seed, first.Reason)
				second, two := deterministic(t, y, p, seed)
				if one != two {
					t.Errorf("seed %d: two timelines: %s", seed, firstDifference(one, two))
				}
				require.Equal(t, first.Deterministic, second.Deterministic)
				different[first.Deterministic.TimelineSHA256] = true
				t.Logf("seed %d: shift %d, %d bytes, %v, CPU %d+%d ms", seed, first.Deterministic.Shift, len(one), first.Deterministic.VirtualNS, first.Machine.StartCPUNS/1e6, first.Machine.CPUNS/1e6)
			}
			t.Logf("%d seeds, %d different timelines", repeats(t), len(different))
			require.Greater(t, len(different), 1)
		})
	}
}

func firstDifference(one, two string) string {
	for i := range min(len(one), len(two)) {
		if one[i] != two[i] {
			from := max(0, i-200)
			return strconv.Itoa(i) + ":\n" + one[from:min(len(one), i+200)] + "\nand\n" + two[from:min(len(two), i+200)]
		}
	}
	return "one is longer"
}

// TestSearchFindsARace: a patch that is wrong only when tasks meet comes out
// with both verdicts, and the seed of a failure shows it again, to the byte.
func TestSearchFindsARace(t *testing.T) {
	const batch, most = 8, 64
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "racy", "proc-readers:/proc/switchyard_racy=3")
			right, wrong := 0, report.Found{}
			for first := int64(0); first < most && (right == 0 || wrong.Count == 0); first += batch {
				p.Dir = t.TempDir()
				found, runs, err := y.Search(t.Context(), p, Seeds{First: first, N: batch})
				require.NoError(t, err)
				require.Equal(t, batch, found.Seeds)
				require.Greater(t, found.Timelines, 1)
				require.Len(t, runs, len(found.Verdicts))
				kept, err := os.ReadDir(p.Dir)
				require.NoError(t, err)
				require.Len(t, kept, len(found.Verdicts), "folders of others than the examples stay")
				for _, f := range found.Verdicts {
					switch f.Verdict {
					case "complete":
						require.True(t, f.Expected)
						right += f.Count
					case "inconsistent":
						require.False(t, f.Expected)
						require.Contains(t, f.Reason, "racy: torn")
						wrong = f
					default:
						t.Fatalf("%+v", f)
					}
				}
			}
			require.Positive(t, right, "it is wrong for every seed")
			require.Positive(t, wrong.Count, "it is right for every seed")
			one, text := deterministic(t, y, p, wrong.Seeds[0])
			require.Equal(t, "inconsistent", one.Verdict)
			require.Equal(t, wrong.Reason, one.Reason)
			_, again := deterministic(t, y, p, wrong.Seeds[0])
			require.True(t, text == again, "the race came again with another timeline: %s", firstDifference(text, again))
		})
	}
}

// TestAnotherMachine: a snapshot that somebody else made gives the same
// timelines, for nothing in it depends on when it was saved.
func TestAnotherMachine(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "cmdline", "fork")
			one, first := deterministic(t, y, p, 3)
			require.NotNil(t, one.Machine.Snapshot)
			y.forget(t.Context(), y.opened(one.Machine.Snapshot.Name))
			_, second := deterministic(t, testYard(t), p, 3)
			require.True(t, first == second, firstDifference(first, second))
		})
	}
}

// TestDeterministicVerdicts: what can come of a patch comes of it by virtual
// time as well, with its reason, and the same to the byte a second time.
func TestDeterministicVerdicts(t *testing.T) {
	for _, c := range []struct {
		version, patch, loads string
		verdict, reason       string
	}{
		{"6.1", "../../cases/testdata/unknown_function", "none", "refused", "has no function|symbol .* not found|not found"},
		{"6.12", "../../cases/testdata/target", "proc-readers:/proc/switchyard_target", "complete", "^$"},
		{"6.1", "testdata/panics", "none", "crashed", "panic: switchyard asked for this"},
		{"6.12", "testdata/panics", "proc-readers", "crashed", "panic: switchyard asked for this"},
		{"6.1", "testdata/naps", "none", "stalled", `switchyard-nap/\d+ \(kthread\) asleep on patched nap`},
		{"6.12", "testdata/naps", "fork", "stalled", `switchyard-nap/\d+ \(kthread\) asleep on patched nap`},
	} {
		t.Run(c.version+"-"+filepath.Base(c.patch), func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, c.version, "cmdline", c.loads)
			src, err := patch.Open(c.patch)
			require.NoError(t, err)
			p.Patches = []*patch.Source{src}
			src.Probes = append(src.Probes, patch.Probe{Read: "/proc/cmdline", Before: ".", After: "."})
			p.StallAfter = 5 * time.Second
			one, first := deterministic(t, y, p, 5)
			require.Equal(t, c.verdict, one.Verdict, one.Reason)
			require.Regexp(t, c.reason, one.Reason)
			_, second := deterministic(t, y, p, 5)
			require.True(t, first == second, firstDifference(first, second))
			if c.verdict == "stalled" {
				require.Greater(t, time.Duration(one.Deterministic.VirtualNS), p.StallAfter)
				require.True(t, one.Transition.Revert.Done, "the way back is free")
			}
		})
	}
}
