// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Confidence is the level of the intervals of medians.
const Confidence = 0.95

// Repeats is what the runs of one patch on one kernel come to, in a report of
// `switchyard run -repeat N`.
type Repeats struct {
	Release string `json:"release"` // uname -r
	Patch   string `json:"patch"`
	Planned int    `json:"planned"`
	// Runs are those that came to a verdict.
	Runs int `json:"runs"`
	// Until is the verdict that was waited for; "" if none was.
	Until string `json:"until,omitempty"`
	// Found is the folder of the first run that came to Until; "" if none did.
	Found    string          `json:"found,omitempty"`
	Verdicts []VerdictShare  `json:"verdicts"`           // the commonest first
	Blockers []InTheWayShare `json:"blockers,omitempty"` // the commonest first
	Figures  []Figure        `json:"figures"`
}

// VerdictShare is in how many runs a verdict came.
type VerdictShare struct {
	Verdict  string  `json:"verdict"`
	Expected bool    `json:"expected"`
	Count    int     `json:"count"`
	Share    float64 `json:"share"` // of Runs
}

// InTheWayShare is in how many runs a kind of blocker was in the way at the
// end.
type InTheWayShare struct {
	Kind     string `json:"kind"`
	Reason   string `json:"reason"`
	Function string `json:"function,omitempty"`
	Count    int    `json:"count"` // runs
}

// Figure is one figure over the runs that have it.
type Figure struct {
	Name         string  `json:"name"`
	Unit         string  `json:"unit,omitempty"` // "ns", "1/s"; "" for a count
	MoreIsBetter bool    `json:"more_is_better,omitempty"`
	Runs         int     `json:"runs"` // that have it
	Min          float64 `json:"min"`
	Median       float64 `json:"median"`
	Max          float64 `json:"max"`
	// Lo and Hi hold the median at Confidence or above; null where the runs are
	// too few for that.
	Lo         *float64 `json:"lo"`
	Hi         *float64 `json:"hi"`
	Confidence float64  `json:"confidence,omitempty"` // that the interval has
}

// Repeated is what counts of one run for Repeats.
type Repeated struct {
	Run      string     `json:"run"` // its folder
	Release  string     `json:"release"`
	Patch    string     `json:"patch"`
	Verdict  string     `json:"verdict"`
	Expected string     `json:"expected"`
	Measures []Measure  `json:"measures,omitempty"`
	InTheWay []InTheWay `json:"in_the_way,omitempty"`
}

// RepeatedOf is what counts of the run in the folder of that name.
func RepeatedOf(folder string, r Run) Repeated {
	return Repeated{
		Run: folder, Release: r.Kernel.Release, Patch: r.Patch.Name, Verdict: r.Verdict, Expected: r.Expected,
		Measures: r.Measures(), InTheWay: r.InTheWay(),
	}
}

// SampleOf are the values of a figure, for package benchmath.
func SampleOf(values []float64) *benchmath.Sample {
	return benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
}

// RepeatsOf sums up the runs of one patch on one kernel, in their order.
func RepeatsOf(runs []Repeated, planned int, until string) Repeats {
	out := Repeats{Planned: planned, Until: until, Verdicts: []VerdictShare{}, Figures: []Figure{}}
	verdicts, blockers := map[string]int{}, map[InTheWay]int{}
	values, at := [][]float64{}, map[string]int{}
	for _, r := range runs {
		out.Release, out.Patch = r.Release, r.Patch
		if r.Verdict == "" {
			continue
		}
		out.Runs++
		if out.Found == "" && Sought(until, r.Verdict, r.Expected) {
			out.Found = r.Run
		}
		n, known := verdicts[r.Verdict]
		if !known {
			n = len(out.Verdicts)
			verdicts[r.Verdict] = n
			out.Verdicts = append(out.Verdicts, VerdictShare{Verdict: r.Verdict, Expected: r.Verdict == r.Expected})
		}
		out.Verdicts[n].Count++
		for _, b := range r.InTheWay {
			n, known := blockers[b]
			if !known {
				n = len(out.Blockers)
				blockers[b] = n
				out.Blockers = append(out.Blockers, InTheWayShare{Kind: b.Kind, Reason: b.Reason, Function: b.Function})
			}
			out.Blockers[n].Count++
		}
		for _, m := range r.Measures {
			n, known := at[m.Name]
			if !known {
				n = len(values)
				at[m.Name] = n
				values = append(values, nil)
				out.Figures = append(out.Figures, Figure{Name: m.Name, Unit: m.Unit, MoreIsBetter: m.MoreIsBetter})
			}
			values[n] = append(values[n], m.Value)
		}
	}
	for i := range out.Figures {
		out.Figures[i].sumUp(values[i])
	}
	for i := range out.Verdicts {
		out.Verdicts[i].Share = float64(out.Verdicts[i].Count) / float64(out.Runs)
	}
	slices.SortStableFunc(out.Verdicts, func(a, b VerdictShare) int { return cmp.Compare(b.Count, a.Count) })
	slices.SortStableFunc(out.Blockers, func(a, b InTheWayShare) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

func (f *Figure) sumUp(values []float64) {
	s := SampleOf(values)
	sum := benchmath.AssumeNothing.Summary(s, Confidence)
	f.Runs, f.Min, f.Median, f.Max = len(values), s.Values[0], sum.Center, s.Values[len(values)-1]
	if !math.IsInf(sum.Lo, 0) && !math.IsInf(sum.Hi, 0) { // JSON has no infinity
		f.Lo, f.Hi, f.Confidence = &sum.Lo, &sum.Hi, sum.Confidence
	}
}

// AsExpected says whether no run needs anybody's attention.
func (r Repeats) AsExpected() bool {
	return !slices.ContainsFunc(r.Verdicts, func(v VerdictShare) bool { return !v.Expected })
}

// Found is the folder of the first run that came to what was waited for; "" if
// none did, or nothing was.
func (r Report) Found() string {
	for _, one := range r.Repeats {
		if one.Found != "" {
			return one.Found
		}
	}
	return ""
}

// Unexpected is what `-until` takes beside verdicts: any that is not as it
// should be.
const Unexpected = "unexpected"

// Sought says whether a verdict is the one that until waits for.
func Sought(until, verdict, expected string) bool {
	if until == Unexpected {
		return verdict != expected
	}
	return until != "" && verdict == until
}
