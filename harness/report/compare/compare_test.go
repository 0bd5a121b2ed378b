// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
)

// source makes runs whose figures are drawn from distributions as transitions
// have them: times in steps, with a tail; a few counts; rates.
type source struct {
	*rand.Rand
	slower  float64 // factor of apply times
	stalls  float64 // share of runs
	rate    float64 // factor of the load's rate during it
	held    float64 // factor of the longest interruption while it is applied
	kind    string  // of the blocker; "" is kthread
	expects string
}

func (s source) run() report.Run {
	factor := func(f float64) float64 {
		if f == 0 {
			return 1
		}
		return f
	}
	rounds := 1 + s.IntN(2)
	time := (float64(rounds-1)*1e9 + 12e6*math.Exp(s.NormFloat64()*0.3)) * factor(s.slower)
	expects := s.expects
	if expects == "" {
		expects = "complete"
	}
	r := report.Run{
		Kernel: report.Kernel{Release: "6.1.0"}, Patch: report.Patch{Name: "fix"}, Accel: "tcg", Verdict: "complete", Expected: expects,
		Machine: report.Machine{VCPUs: 2},
		Load:    []report.Load{{Name: "pipe", RateBefore: 100 + 10*s.NormFloat64(), RateDuring: (90 + 10*s.NormFloat64()) * factor(s.rate), RateAfter: 100 + 10*s.NormFloat64()}},
		Transition: report.Transition{
			Apply:  &report.Phase{Done: true, GuestNS: int64(time), Rounds: &rounds, Lanes: make([]report.Lane, s.IntN(4))},
			Revert: &report.Phase{Done: true, GuestNS: int64(10e6 * math.Exp(s.NormFloat64())), Rounds: &rounds},
		},
	}
	window := func(by float64) *report.Window {
		p50 := 20e3 * math.Exp(s.NormFloat64()*0.1)
		return &report.Window{Lateness: report.Lateness{
			P50NS: int64(p50), P99NS: int64(p50 * 3), P999NS: int64(p50 * 9 * by), MaxNS: int64(p50 * 20 * by * math.Exp(s.NormFloat64()*0.3)), Count: 5000,
		}}
	}
	r.Interruption = &report.Interruption{
		Windows: report.Windows{Baseline: window(1), Apply: window(factor(s.held)), Patched: window(1)},
		Witness: &report.Windows{Baseline: window(1), Apply: window(factor(s.held))},
	}
	if s.Float64() < s.stalls {
		kind := s.kind
		if kind == "" {
			kind = "kthread"
		}
		r.Verdict, r.Transition.Apply.Done, r.Transition.Revert = "stalled", false, nil
		r.Blockers = []report.Blocker{{Kind: kind, Reason: "asleep on patched", Function: "f"}}
	}
	return r
}

func (s source) report(n int) (r report.Report) {
	for range n {
		r.Runs = append(r.Runs, s.run())
	}
	return r
}

func compare(t require.TestingT, a, b report.Report, o Options) Result {
	r, err := Compare("a", a, "b", b, o)
	require.NoError(t, err)
	return r
}

func names(p Pair) (all []string) {
	for _, d := range p.Differences {
		all = append(all, d.Figure)
	}
	return all
}

// TestEqualsAreEqual: of comparisons of what is equal no more than alpha find a
// difference in any figure, for several numbers of runs, stalls among them.
func TestEqualsAreEqual(t *testing.T) {
	for _, c := range []struct {
		n, m   int
		stalls float64
	}{{6, 6, 0}, {20, 20, 0.2}, {12, 40, 0.5}} {
		const tries = 400
		found := 0
		for seed := range uint64(tries) {
			s := source{Rand: rand.New(rand.NewPCG(seed, 1)), stalls: c.stalls}
			if len(compare(t, s.report(c.n), s.report(c.m), Options{}).Pairs[0].Differences) > 0 {
				found++
			}
		}
		// Three standard deviations over what alpha allows.
		limit := DefaultAlpha*tries + 3*math.Sqrt(tries*DefaultAlpha*(1-DefaultAlpha))
		require.LessOrEqual(t, float64(found), limit, "%+v: %d of %d", c, found, tries)
		t.Logf("%+v: %d of %d", c, found, tries)
	}
}

// TestShiftsAreFound: what differs is found, and nothing else is called a
// difference of that kind.
func TestShiftsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		b         source
		n         int
		want      string
		direction string
	}{
		"a stall":           {source{stalls: 1}, 6, "verdict.stalled", Worse},
		"now and then":      {source{stalls: 0.6}, 20, "verdict.stalled", Worse},
		"a longer one":      {source{slower: 1000}, 20, "apply.time", Worse},
		"a shorter one":     {source{slower: 0.001}, 20, "apply.time", Better},
		"less work":         {source{rate: 0.5}, 20, "load.pipe.during", Worse},
		"more work":         {source{rate: 2}, 20, "load.pipe.during", Better},
		"a long stop":       {source{held: 20}, 20, "interruption.apply.max", Worse},
		"and its witness":   {source{held: 20}, 20, "interruption.witness.apply.max", Worse},
		"who is in the way": {source{stalls: 1}, 20, "blocker.kthread asleep on patched f", Worse},
	} {
		const tries = 40
		found, others := 0, 0
		for seed := range uint64(tries) {
			random := rand.New(rand.NewPCG(seed, 2))
			c.b.Rand = random
			p := compare(t, source{Rand: random}.report(c.n), c.b.report(c.n), Options{}).Pairs[0]
			i := slices.IndexFunc(p.Differences, func(d Difference) bool { return d.Figure == c.want })
			if i < 0 {
				continue
			}
			found++
			require.Equal(t, c.direction, p.Differences[i].Direction, name)
			// Exactly that, but for what chance may do: nothing of the time before
			// or after.
			if c.b.held > 0 && slices.ContainsFunc(names(p), func(other string) bool { return !strings.Contains(other, ".apply.") }) {
				others++
			}
			require.LessOrEqual(t, p.Differences[i].Adjusted, DefaultAlpha)
			require.LessOrEqual(t, p.Differences[i].P, p.Differences[i].Adjusted)
			require.Equal(t, map[string]string{Worse: Different, Better: Same}[c.direction], p.Outcome, name)
		}
		require.GreaterOrEqual(t, found, tries*8/10, name)
		require.LessOrEqual(t, others, 7, name) // 2 of 40, and three standard deviations
	}
}

// TestWhatWouldHaveBeenSeen: a shift as large as is told is found about as often
// as is told.
func TestWhatWouldHaveBeenSeen(t *testing.T) {
	const tries = 200
	found, n := 0, 20
	draw := func(r *rand.Rand, shift float64) (r2 report.Report) {
		for range n {
			one := source{Rand: r}.run()
			one.Transition.Apply.GuestNS = int64(50e6*math.Exp(r.NormFloat64()*0.3) + shift)
			r2.Runs = append(r2.Runs, one)
		}
		return r2
	}
	for seed := range uint64(tries) {
		r := rand.New(rand.NewPCG(seed, 3))
		o := Options{Only: []string{"apply.time"}}
		seen := compare(t, draw(r, 0), draw(r, 0), o).Pairs[0].Seen[0]
		require.NotNil(t, seen.Shift)
		if compare(t, draw(r, 0), draw(r, *seen.Shift), o).Outcome == Different {
			found++
		}
	}
	require.InDelta(t, power, float64(found)/tries, 0.12)
}

// TestTooFew: what cannot be told is said to be so, with how many it takes; and
// that number is enough.
func TestTooFew(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	s := source{Rand: random}
	p := compare(t, s.report(3), s.report(3), Options{}).Pairs[0]
	require.Equal(t, Unknown, p.Outcome)
	var a, b, figures, need int
	_, err := fmt.Sscanf(p.Reason, "%d and %d runs are too few to find even the largest difference in %d figures: it takes %d each", &a, &b, &figures, &need)
	require.NoError(t, err, p.Reason)
	require.Equal(t, []int{3, 3, len(p.Looked)}, []int{a, b, figures})
	require.Equal(t, Same, compare(t, s.report(need), s.report(need), Options{}).Outcome)
	require.Equal(t, Unknown, compare(t, s.report(need-1), s.report(need-1), Options{}).Outcome)

	// One figure takes fewer runs, and one side can make up for the other.
	require.Equal(t, Same, compare(t, s.report(4), s.report(4), Options{Only: []string{"verdict"}}).Outcome)
	require.Equal(t, Unknown, compare(t, s.report(3), s.report(3), Options{Only: []string{"verdict"}}).Outcome)
	require.Equal(t, Same, compare(t, s.report(40), s.report(2), Options{Only: []string{"verdict"}}).Outcome)

	// A better verdict in few runs is no worse one, and who was in the way is told
	// by it; of times they are still too few.
	stalls := source{Rand: random, stalls: 1}.report(4)
	p = compare(t, stalls, s.report(4), Options{Only: []string{"verdict", "blocker"}}).Pairs[0]
	require.Equal(t, Same, p.Outcome, p.Reason)
	require.Equal(t, Better, p.Differences[0].Direction)
	p = compare(t, source{Rand: random, stalls: 1}.report(5), s.report(5), Options{}).Pairs[0]
	require.Equal(t, Unknown, p.Outcome)
	var text bytes.Buffer
	p.write(&text)
	require.Contains(t, text.String(), "More cannot be told")

	// No run with a verdict is nothing to tell from.
	none := s.report(20)
	for i := range none.Runs {
		none.Runs[i].Verdict = ""
	}
	p = compare(t, s.report(20), none, Options{}).Pairs[0]
	require.Equal(t, Unknown, p.Outcome)
	require.Equal(t, 20, p.B.Broken)
	// Nor is a figure that one side has not.
	p = compare(t, s.report(20), source{Rand: random, stalls: 1}.report(20), Options{Only: []string{"apply.time"}}).Pairs[0]
	require.Equal(t, Unknown, p.Outcome)
}

func TestOptions(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	clean, stalling := source{Rand: random}.report(20), source{Rand: random, stalls: 1}.report(20)
	require.Equal(t, Different, compare(t, clean, stalling, Options{}).Outcome)
	require.Equal(t, Same, compare(t, stalling, clean, Options{}).Outcome)
	require.Equal(t, Different, compare(t, stalling, clean, Options{Direction: Better}).Outcome)
	require.Equal(t, Same, compare(t, clean, stalling, Options{Direction: Better}).Outcome)
	require.Equal(t, Different, compare(t, stalling, clean, Options{Direction: Any}).Outcome)
	require.Equal(t, Same, compare(t, clean, stalling, Options{Only: []string{"load"}}).Outcome)
	require.Equal(t, []string{"verdict.stalled"}, names(compare(t, clean, stalling, Options{Only: []string{"verdict"}}).Pairs[0]))
	// Of a verdict that is as it should be, more is better.
	wanted := source{Rand: random, stalls: 1, expects: "stalled"}.report(20)
	require.Equal(t, Same, compare(t, clean, wanted, Options{Only: []string{"verdict"}}).Outcome)

	half := source{Rand: random, stalls: 0.5}.report(40)
	require.Equal(t, Different, compare(t, clean, half, Options{Threshold: 0.2}).Outcome)
	require.Equal(t, Same, compare(t, clean, half, Options{Threshold: 0.9}).Outcome)

	// What no run has, but could have, is no mistake.
	require.Equal(t, Same, compare(t, clean, clean, Options{Only: []string{"verdict", "blocker"}}).Outcome)
	require.Equal(t, Same, compare(t, clean, clean, Options{Only: []string{"verdict", "interruption.witness.revert"}}).Outcome)
	require.Equal(t, Unknown, compare(t, clean, clean, Options{Only: []string{"interruption.witness.revert.p99"}}).Outcome)

	var wrong *InputError
	_, err := Compare("a", clean, "b", clean, Options{Only: []string{"apply.tim"}})
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, "apply.time")
}

// TestPairs: what is compared with what.
func TestPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	of := func(patch string, releases ...string) (r report.Report) {
		for _, release := range releases {
			for range 6 {
				one := source{Rand: random}.run()
				one.Patch.Name, one.Kernel.Release = patch, release
				r.Runs = append(r.Runs, one)
			}
		}
		return r
	}
	for _, c := range []struct {
		a, b report.Report
		want string // "" for an error
	}{
		{of("fix", "6.1"), of("fix", "6.1"), "fix 6.1/fix 6.1"},
		{of("fix", "6.1"), of("fix", "6.12"), "fix 6.1/fix 6.12"},
		{of("old", "6.1"), of("new", "6.1"), "old 6.1/new 6.1"},
		{of("fix", "6.1", "6.12"), of("fix", "6.12", "6.1", "7.2"), "fix 6.1/fix 6.1 fix 6.12/fix 6.12"},
		{of("old", "6.1", "6.12"), of("new", "6.12", "6.1"), "old 6.1/new 6.1 old 6.12/new 6.12"},
		{of("fix", "6.1", "6.12"), of("fix", "7.2"), ""},
		{of("fix", "6.1"), report.Report{}, ""},
	} {
		r, err := Compare("a", c.a, "b", c.b, Options{})
		if c.want == "" {
			var wrong *InputError
			require.ErrorAs(t, err, &wrong)
			continue
		}
		require.NoError(t, err)
		var got []string
		for _, p := range r.Pairs {
			got = append(got, fmt.Sprintf("%s %s/%s %s", p.A.Patch, p.A.Release, p.B.Patch, p.B.Release))
		}
		require.Equal(t, c.want, strings.Join(got, " "))
	}
	r, err := Within("a", of("fix", "6.1", "6.12"), Options{})
	require.NoError(t, err)
	require.Equal(t, "6.12", r.Pairs[0].B.Release)
	_, err = Within("a", of("fix", "6.1"), Options{})
	require.ErrorContains(t, err, "fix on 6.1")
}

// TestConditions: times of machines of other kinds are not compared; runs that
// are the same to the byte need not be many.
func TestConditions(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 10))
	a, b := source{Rand: random}.report(20), source{Rand: random, slower: 100}.report(20)
	for i := range b.Runs {
		b.Runs[i].Accel = "kvm"
	}
	p := compare(t, a, b, Options{}).Pairs[0]
	require.Contains(t, p.Warnings[0], "accelerator: A has tcg, B kvm")
	require.NotContains(t, p.Looked, "apply.time")
	require.Contains(t, p.Looked, "apply.rounds")

	exact := source{Rand: random}.report(1)
	exact.Runs[0].Deterministic = &report.Deterministic{Seed: 1, TimelineSHA256: "a"}
	r := compare(t, exact, exact, Options{})
	require.Equal(t, Same, r.Outcome)
	require.True(t, r.Pairs[0].Identical)
	other := source{Rand: random}.report(1)
	other.Runs[0].Deterministic = &report.Deterministic{Seed: 1, TimelineSHA256: "b"}
	require.Equal(t, Unknown, compare(t, exact, other, Options{}).Outcome)
}

// TestText: what a person reads.
func TestText(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 11))
	a, b := source{Rand: random}.report(20), source{Rand: random, stalls: 1}.report(20)
	var text bytes.Buffer
	compare(t, a, b, Options{}).WriteText(&text)
	require.Regexp(t, `verdict.stalled +0 of 20 +20 of 20 +\+100 points +worse +in 100 % +< 0.0001`, text.String())
	require.NotContains(t, text.String(), "load.pipe.before")
	text.Reset()
	compare(t, a, a, Options{}).WriteText(&text)
	require.Contains(t, text.String(), "No difference that is more than noise")
	require.Regexp(t, `verdict +one that A never has, in \d of 20 runs`, text.String())
	require.Regexp(t, `apply.time +[\d.]+ m?s`, text.String())
	text.Reset()
	compare(t, source{Rand: random}.report(2), a, Options{}).WriteText(&text)
	require.Contains(t, text.String(), "It cannot be told")
	t.Log(text.String())
}
