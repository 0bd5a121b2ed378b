// SPDX-License-Identifier: Apache-2.0

// Package compare tells whether two sets of runs differ by more than noise:
// verdicts and who was in the way by Fisher's exact test, figures by the
// Mann-Whitney U test, and all of them together so that equal sets are told
// apart at most once in 1/alpha comparisons.
//
// What must not live here: what a run is measured by (report.Measures), running
// anything, and exit statuses (cmd/switchyard).
package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/report"
)

// Schema names the form of a Result as JSON.
const Schema = "switchyard.compare/1"

// DefaultAlpha is the share of comparisons of equals that may find a
// difference.
const DefaultAlpha = 0.05

// The outcomes of a comparison.
const (
	Same      = "same"      // none of the differences asked for
	Different = "different" // there is one
	Unknown   = "unknown"   // too few runs to tell
)

// The ways in which B can differ from A.
const (
	Worse  = "worse"
	Better = "better"
	Any    = "any" // of Options only
)

// Options say what is looked at. The zero value is everything, for the worse,
// at DefaultAlpha.
type Options struct {
	// Only are the figures looked at: names, or their beginnings up to a dot,
	// as "apply" or "verdict". Empty: all.
	Only []string
	// Direction is which differences make the outcome Different: Worse, Better or
	// Any. The others are told all the same.
	Direction string
	// Threshold is the least change that counts: of a figure relative to A's
	// median, of shares their difference. 0.1 is ten per cent.
	Threshold float64
	Alpha     float64
}

// Result is what a comparison came to.
type Result struct {
	Schema  string `json:"schema"`
	Outcome string `json:"outcome"` // Same, Different or Unknown
	Pairs   []Pair `json:"pairs"`
}

// Side is one of two sets of runs: of one patch on one kernel.
type Side struct {
	Name    string `json:"name"` // where it came from, as "good/"
	Patch   string `json:"patch"`
	Release string `json:"release"`
	Runs    int    `json:"runs"`                 // that came to a verdict
	Broken  int    `json:"no_verdict,omitempty"` // those that did not, and do not count

	runs []report.Run
}

// Pair is one comparison of two sides.
type Pair struct {
	A           Side         `json:"a"`
	B           Side         `json:"b"`
	Outcome     string       `json:"outcome"`
	Reason      string       `json:"reason,omitempty"` // of Unknown
	Alpha       float64      `json:"alpha"`            // of the pair as a whole
	Looked      []string     `json:"looked_at"`        // figures
	Differences []Difference `json:"differences"`      // the surest first
	// Seen is how large a difference of each figure would have been found.
	Seen     []Seen   `json:"would_have_been_seen"`
	Warnings []string `json:"warnings,omitempty"`
	// Identical says that each run of A is the same to the byte as one of B.
	Identical bool `json:"identical,omitempty"`
}

// Difference is one figure that differs by more than noise.
type Difference struct {
	Figure    string `json:"figure"`
	Unit      string `json:"unit,omitempty"` // as in a report; "share" of runs
	Direction string `json:"direction"`      // Worse or Better
	A         Centre `json:"a"`
	B         Centre `json:"b"`
	// Change is B's median against A's, 0.1 for ten per cent more; null if A's is
	// 0. Of shares it is B's less A's.
	Change *float64 `json:"change"`
	// Higher is in which part of all pairs of a run of A and one of B, B's is
	// the higher one, ties being halves: 0.5 is no effect, 1 and 0 the largest.
	Higher float64 `json:"higher"`
	P      float64 `json:"p"`
	// Adjusted is P after all that was looked at: at most Alpha.
	Adjusted float64 `json:"p_adjusted"`
}

// Centre is where the values of one side lie.
type Centre struct {
	Runs   int      `json:"runs"`            // that have the figure
	Count  *int     `json:"count,omitempty"` // of a share: the runs that it is of
	Median float64  `json:"median"`          // of a share: the share
	Lo     *float64 `json:"lo"`              // its confidence interval, at report.Confidence; null for too few runs
	Hi     *float64 `json:"hi"`
}

// Seen is how large a difference would have been found, four times in five.
type Seen struct {
	Figure string `json:"figure"`
	Unit   string `json:"unit,omitempty"`
	// Shift is that difference of figures; 0 for any, null where the runs are
	// too few for the largest.
	Shift *float64 `json:"shift"`
	// Runs is, of a verdict that comes in no run of A, in how many of B it would
	// have to come; null as above.
	Runs *int `json:"runs,omitempty"`
}

// Compare compares what two reports have in common: the kernels of both, or,
// if each is of one patch on one kernel, these. The error is an *InputError if
// there is nothing to compare.
func Compare(nameA string, a report.Report, nameB string, b report.Report, o Options) (Result, error) {
	pairs, err := pairUp(sidesOf(nameA, a), sidesOf(nameB, b))
	if err != nil {
		return Result{}, err
	}
	return comparePairs(pairs, o)
}

// Within compares the two sides that one report has: two kernels, or two
// patches. The error is an *InputError if it has not two.
func Within(name string, r report.Report, o Options) (Result, error) {
	sides := sidesOf(name, r)
	if len(sides) != 2 {
		return Result{}, &InputError{fmt.Sprintf("%s has runs of %d patches on kernels (%s): to compare it with itself takes two of them", name, len(sides), list(sides))}
	}
	return comparePairs([][2]Side{{sides[0], sides[1]}}, o)
}

// InputError says why two reports cannot be compared.
type InputError struct{ Text string }

func (e *InputError) Error() string { return e.Text }

func comparePairs(pairs [][2]Side, o Options) (Result, error) {
	if o.Direction == "" {
		o.Direction = Worse
	}
	if o.Alpha == 0 {
		o.Alpha = DefaultAlpha
	}
	o.Alpha /= float64(len(pairs)) // of the whole
	out := Result{Schema: Schema, Outcome: Same, Pairs: []Pair{}}
	for _, p := range pairs {
		one, err := comparePair(p[0], p[1], o)
		if err != nil {
			return Result{}, err
		}
		out.Pairs = append(out.Pairs, one)
		if one.Outcome == Different || one.Outcome == Unknown && out.Outcome == Same {
			out.Outcome = one.Outcome
		}
	}
	return out, nil
}

// comparePair compares two sides.
func comparePair(a, b Side, o Options) (Pair, error) {
	out := Pair{A: a, B: b, Alpha: o.Alpha, Looked: []string{}, Differences: []Difference{}, Seen: []Seen{}, Outcome: Same}
	out.Identical = identical(a.runs, b.runs)
	apart := conditions(a.runs, b.runs)
	all := hypotheses(a.runs, b.runs, len(apart) > 0)
	if len(apart) > 0 {
		out.Warnings = append(out.Warnings, "times and rates are not compared: "+strings.Join(apart, "; "))
	}
	all, err := only(all, o.Only)
	if err != nil {
		return out, err
	}
	all = slices.DeleteFunc(all, (*hypothesis).oneSided) // the verdicts say why
	for _, h := range all {
		out.Looked = append(out.Looked, h.name)
	}
	holm(all, o.Alpha)
	for _, h := range all {
		if d, differs := h.difference(o); differs {
			out.Differences = append(out.Differences, d)
			if o.Direction == Any || o.Direction == d.Direction {
				out.Outcome = Different
			}
		}
		out.Seen = append(out.Seen, h.seen(a.Runs, b.Runs))
	}
	slices.SortStableFunc(out.Differences, func(a, b Difference) int { return compareFloats(a.Adjusted, b.Adjusted) })
	if out.Outcome == Same && !out.Identical {
		if out.Reason = tooFew(a, b, all); out.Reason != "" {
			out.Outcome = Unknown
		}
	}
	return out, nil
}

// only keeps what is asked for.
func only(all []*hypothesis, names []string) ([]*hypothesis, error) {
	if len(names) == 0 {
		return all, nil
	}
	var kept []*hypothesis
	for _, name := range names {
		found := false
		for _, h := range all {
			if h.name == name || strings.HasPrefix(h.name, name+".") {
				found = true
				if !slices.Contains(kept, h) {
					kept = append(kept, h)
				}
			}
		}
		if !found && !report.Measurable(name) { // else it is only that no run here has it
			var known []string
			for _, h := range all {
				known = append(known, h.name)
			}
			return nil, &InputError{fmt.Sprintf("these runs have no figure %q; they have %s", name, strings.Join(known, ", "))}
		}
	}
	return kept, nil
}
