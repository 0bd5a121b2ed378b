// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"cmp"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"

	"github.com/switchyard-project/switchyard/harness/report"
)

// UnitShare is the unit of shares of runs.
const UnitShare = "share"

// hypothesis is one figure, and whether it is the same on both sides.
type hypothesis struct {
	name, unit   string
	moreIsBetter bool
	a, b         []float64 // of a share 1 for each run that it is of, 0 for the others
	verdict      bool      // it is of verdicts
	weight       float64   // its part of alpha, before holm

	p, adjusted, level float64 // by holm; level is what p had to reach
}

// hypotheses are all that can be asked of two sides.
func hypotheses(a, b []report.Run, noTimes bool) []*hypothesis {
	all := verdicts(a, b)
	others := append(blockers(a, b), figures(a, b, noTimes)...)
	both := 0
	for _, h := range others {
		if !h.oneSided() {
			both++
		}
	}
	// What came of the runs counts as much as all that it can be measured by:
	// a stall that is seen five times in five must not drown in thirty figures.
	for _, h := range all {
		h.weight = 1 / float64(len(all))
	}
	for _, h := range others {
		h.weight = 1 / float64(max(both, 1))
	}
	return append(all, others...)
}

// verdicts asks of each verdict in how many runs it came. What B was expected
// to come to says which of them are bad.
func verdicts(a, b []report.Run) (all []*hypothesis) {
	var names []string
	unexpected := map[string]bool{}
	for _, r := range slices.Concat(a, b) {
		if !slices.Contains(names, r.Verdict) {
			names = append(names, r.Verdict)
		}
	}
	for _, name := range names {
		unexpected[name] = name != slices.Concat(b, a)[0].Expected
	}
	slices.SortStableFunc(names, func(x, y string) int { // what is as it should be last
		return cmp.Compare(rank(unexpected[y]), rank(unexpected[x]))
	})
	if len(names) == 2 && unexpected[names[0]] && !unexpected[names[1]] { // the one is what the other is not
		names = names[:1]
	}
	for _, name := range names {
		of := func(r report.Run) bool { return r.Verdict == name }
		h := share("verdict."+name, a, b, of)
		h.verdict, h.moreIsBetter = true, !unexpected[name]
		all = append(all, h)
	}
	return all
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// blockers asks of each kind of blocker in how many runs it was in the way at
// the end.
func blockers(a, b []report.Run) (all []*hypothesis) {
	var kinds []report.InTheWay
	for _, r := range slices.Concat(a, b) {
		for _, k := range r.InTheWay() {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	if len(kinds) == 0 {
		return []*hypothesis{share("blocker.any", a, b, func(report.Run) bool { return false })}
	}
	for _, k := range kinds {
		all = append(all, share("blocker."+k.String(), a, b, func(r report.Run) bool { return slices.Contains(r.InTheWay(), k) }))
	}
	return all
}

func share(name string, a, b []report.Run, of func(report.Run) bool) *hypothesis {
	h := &hypothesis{name: name, unit: UnitShare}
	for _, side := range []struct {
		runs []report.Run
		to   *[]float64
	}{{a, &h.a}, {b, &h.b}} {
		for _, r := range side.runs {
			*side.to = append(*side.to, float64(rank(of(r))))
		}
	}
	return h
}

// figures asks of each figure that a side has how large it is. Without times,
// of counts only.
func figures(a, b []report.Run, noTimes bool) (all []*hypothesis) {
	at := map[string]*hypothesis{}
	for _, side := range []struct {
		runs []report.Run
		of   func(*hypothesis) *[]float64
	}{{a, func(h *hypothesis) *[]float64 { return &h.a }}, {b, func(h *hypothesis) *[]float64 { return &h.b }}} {
		for _, r := range side.runs {
			for _, m := range r.Measures() {
				if noTimes && m.Unit != report.UnitCount {
					continue
				}
				h := at[m.Name]
				if h == nil {
					h = &hypothesis{name: m.Name, unit: m.Unit, moreIsBetter: m.MoreIsBetter}
					at[m.Name] = h
					all = append(all, h)
				}
				values := side.of(h)
				*values = append(*values, m.Value)
			}
		}
	}
	return all
}

// oneSided says that only one side has it.
func (h *hypothesis) oneSided() bool { return len(h.a) == 0 || len(h.b) == 0 }

// test is the probability of values as far apart as these, or farther, if both
// sides are of one kind.
func (h *hypothesis) test() float64 {
	if h.unit == UnitShare {
		return fisher(ones(h.a), len(h.a), ones(h.b), len(h.b))
	}
	// Ties and all, exact where the runs are not many.
	return benchmath.AssumeNothing.Compare(report.SampleOf(h.a), report.SampleOf(h.b)).P
}

// testable says whether the values, whichever side had which, could come to a p
// of alpha at all. Those that could not take nothing from the others: Tarone's
// remark, "A modified Bonferroni method for discrete data", Biometrics 1990.
func (h *hypothesis) testable(alpha float64) bool {
	n, m := len(h.a), len(h.b)
	if h.unit == UnitShare {
		k, least := ones(h.a)+ones(h.b), 1.0
		for i := max(0, k-m); i <= min(n, k); i++ {
			least = min(least, fisher(i, n, k-i, m))
		}
		return least <= alpha
	}
	return h.varies() && leastP(n, m) <= alpha
}

// leastP is the p of n values of which each is larger than all of m others: the
// least that there can be, by either test.
func leastP(n, m int) float64 {
	ln := func(x int) float64 { v, _ := math.Lgamma(float64(x + 1)); return v }
	return min(1, 2*math.Exp(ln(n)+ln(m)-ln(n+m)))
}

// holm corrects for the number of hypotheses: Holm, "A simple sequentially
// rejective multiple test procedure", 1979, with weights. The probability that
// any equal figure is called different is at most alpha, however they depend on
// each other.
func holm(all []*hypothesis, alpha float64) {
	var asked []*hypothesis
	weights := 0.0
	for _, h := range all {
		h.p, h.adjusted = h.test(), 1
		if h.testable(alpha) {
			asked = append(asked, h)
			weights += h.weight
		}
	}
	setLevels(all, alpha)
	slices.SortStableFunc(asked, func(x, y *hypothesis) int { return compareFloats(x.p/x.weight, y.p/y.weight) })
	adjusted := 0.0
	for _, h := range asked {
		adjusted = max(adjusted, min(1, h.p*weights/h.weight))
		h.adjusted = adjusted
		weights -= h.weight
	}
}

// setLevels says what p each would have had to reach, were it the only one that
// differs: before anything is known of the figures' values, so that it depends
// on their number alone. Verdicts that are all the same take no part.
func setLevels(all []*hypothesis, alpha float64) {
	weights := 0.0
	for _, h := range all {
		if !h.verdict || h.varies() {
			weights += h.weight
		}
	}
	for _, h := range all {
		of := weights
		if h.verdict && !h.varies() {
			of += h.weight
		}
		h.level = alpha * h.weight / of
	}
}

// varies says whether not all values are the same.
func (h *hypothesis) varies() bool {
	all := slices.Concat(h.a, h.b)
	return slices.Min(all) != slices.Max(all)
}

func compareFloats(a, b float64) int { return cmp.Compare(a, b) }

func ones(values []float64) (n int) {
	for _, v := range values {
		if v == 1 {
			n++
		}
	}
	return n
}

// difference is what h says of the two sides, if it is more than noise.
func (h *hypothesis) difference(o Options) (Difference, bool) {
	d := Difference{Figure: h.name, Unit: h.unit, P: h.p, Adjusted: h.adjusted, A: h.centre(h.a), B: h.centre(h.b), Higher: higher(h.a, h.b)}
	if h.adjusted > o.Alpha || d.Higher == 0.5 {
		return d, false
	}
	change := d.B.Median - d.A.Median
	switch {
	case h.unit == UnitShare:
		d.Change = &change
	case d.A.Median != 0:
		change /= math.Abs(d.A.Median)
		d.Change = &change
	}
	if d.Change != nil && math.Abs(*d.Change) < o.Threshold {
		return d, false
	}
	d.Direction = Worse
	if (d.Higher > 0.5) == h.moreIsBetter {
		d.Direction = Better
	}
	return d, true
}

func (h *hypothesis) centre(values []float64) Centre {
	c := Centre{Runs: len(values)}
	if h.unit == UnitShare {
		n := ones(values)
		c.Count, c.Median = &n, float64(n)/float64(len(values))
		return c
	}
	s := benchmath.AssumeNothing.Summary(report.SampleOf(values), report.Confidence)
	c.Median = s.Center
	if !math.IsInf(s.Lo, 0) && !math.IsInf(s.Hi, 0) {
		c.Lo, c.Hi = &s.Lo, &s.Hi
	}
	return c
}

// higher is in which part of the pairs b's value is the higher one.
func higher(a, b []float64) float64 {
	sum := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case y > x:
				sum++
			case y == x:
				sum += 0.5
			}
		}
	}
	return sum / float64(len(a)*len(b))
}
