// SPDX-License-Identifier: Apache-2.0

package matrix

import (
	"cmp"
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/report"
)

// drawWork draws kernels, cases and how long some of them took.
func drawWork(t *rapid.T) (kernels []Kernel, cases []string, took Durations) {
	for _, r := range rapid.SliceOfNDistinct(rapid.StringMatching(`[567]\.[0-9]{1,2}\.[0-9]\+deb1[23]`), 0, 4, rapid.ID[string]).Draw(t, "kernels") {
		kernels = append(kernels, Kernel{Release: r, Checksum: "0123456789abcdef0123"})
	}
	cases = rapid.SliceOfNDistinct(rapid.StringMatching(`Test[A-Z][a-z]{0,3}`), 0, 12, rapid.ID[string]).Draw(t, "cases")
	var known []report.Case
	for _, k := range kernels {
		for _, c := range cases {
			if rapid.Bool().Draw(t, "known") {
				known = append(known, report.Case{Name: c, Kernel: k.Release, Result: report.Passed, ElapsedNS: rapid.Int64Range(0, 5e9).Draw(t, "ns")})
			}
		}
	}
	return kernels, cases, NewDurations(known)
}

// Whatever is cut: every case is on every kernel exactly once, each -run
// pattern runs its cases and no others, and no piece is empty.
func TestEveryCaseExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kernels, cases, took := drawWork(t)
		shards := rapid.IntRange(1, 15).Draw(t, "shards")
		m := Cut(kernels, cases, shards, took)
		times := map[report.Planned]int{}
		names := map[string]bool{}
		for _, e := range m.Include {
			require.NotEmpty(t, e.Cases)
			require.False(t, names[e.Name], "%s twice", e.Name)
			names[e.Name] = true
			require.LessOrEqual(t, e.Shard, e.Shards)
			require.LessOrEqual(t, e.Shards, shards)
			pattern := regexp.MustCompile(e.Run)
			for _, c := range cases {
				require.Equal(t, slices.Contains(e.Cases, c), pattern.MatchString(c), "%s and %s", e.Run, c)
				if pattern.MatchString(c) {
					times[report.Planned{Kernel: e.Kernel, Test: c}]++
				}
			}
		}
		require.Len(t, times, len(kernels)*len(cases))
		for p, n := range times {
			require.Equal(t, 1, n, "%v", p)
		}
		require.Len(t, m.Plan(), len(times))
	})
}

// The order in which cases are given, and known, changes nothing.
func TestCutIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kernels, cases, took := drawWork(t)
		shards := rapid.IntRange(1, 5).Draw(t, "shards")
		want := Cut(kernels, cases, shards, took)
		shuffled := slices.Clone(cases)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Equal(t, want, Cut(kernels, shuffled, shards, took))
	})
}

// The longest piece is at most 4/3 of what any cut must have: Graham's bound
// for LPT, against the average and the longest single case as lower bounds of
// the optimum where those are tight, and against all cuts for few cases.
func TestPiecesAreBalanced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		takes := rapid.SliceOfN(rapid.IntRange(0, 50), 1, 7).Draw(t, "takes")
		shards := rapid.IntRange(1, 4).Draw(t, "shards")
		var cases []string
		for i := range takes {
			cases = append(cases, fmt.Sprint("Test", i))
		}
		of := func(c string) time.Duration { return time.Duration(takes[c[4]-'0']) }
		var longest time.Duration
		for _, p := range balance(cases, shards, of) {
			longest = max(longest, p.takes)
		}
		require.LessOrEqual(t, 3*int(longest), 4*optimum(takes, make([]int, shards)))
	})
}

// optimum is the shortest longest piece of all cuts.
func optimum(takes, pieces []int) int {
	if len(takes) == 0 {
		return slices.Max(pieces)
	}
	best := 1 << 30
	for i := range pieces {
		pieces[i] += takes[0]
		best = min(best, optimum(takes[1:], pieces))
		pieces[i] -= takes[0]
	}
	return best
}

func TestDurations(t *testing.T) {
	took := func(name, kernel string, result report.Result, seconds int) report.Case {
		return report.Case{Name: name, Kernel: kernel, Result: result, ElapsedNS: int64(seconds) * 1e9}
	}
	d := NewDurations([]report.Case{
		took("TestA", "6.1", report.Passed, 99),
		took("TestA", "6.1", report.Passed, 2), // the later one
		took("TestA", "6.12", report.Passed, 10),
		took("TestA", "6.6", report.Passed, 4),
		took("TestB/x", "6.1", report.Passed, 3),
		took("TestB/y", "6.1", report.Passed, 5),
		took("TestC", "6.1", report.Failed, 600),
	})
	for _, c := range []struct {
		test, kernel string
		want         int
	}{
		{"TestA", "6.1", 2},
		{"TestA", "7.3", 4},  // as on other kernels
		{"TestB", "6.1", 8},  // its parts together
		{"TestC", "6.1", 8},  // a failure is no measure
		{"TestD", "6.12", 8}, // as long as any
	} {
		require.Equal(t, time.Duration(c.want)*time.Second, d.Of(c.test, c.kernel), "%s on %s", c.test, c.kernel)
	}
	require.True(t, Durations{}.Empty())
	require.Equal(t, time.Second, Durations{}.Of("TestA", "6.1"))
	m := Cut([]Kernel{{Release: "6.1", Checksum: "abc"}}, []string{"TestB", "TestA"}, 2, d)
	require.Equal(t, []Entry{
		{Kernel: "6.1", Kit: "abc", Shard: 1, Shards: 2, Name: "6.1-1-of-2", Run: "^(TestB)$", Cases: []string{"TestB"}, Seconds: 8},
		{Kernel: "6.1", Kit: "abc", Shard: 2, Shards: 2, Name: "6.1-2-of-2", Run: "^(TestA)$", Cases: []string{"TestA"}, Seconds: 2},
	}, m.Include)
	require.True(t, slices.IsSortedFunc(m.Include, func(a, b Entry) int { return cmp.Compare(a.Shard, b.Shard) }))
}
