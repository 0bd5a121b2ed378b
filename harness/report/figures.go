// SPDX-License-Identifier: Apache-2.0

package report

import "strings"

// The units of figures.
const (
	UnitNS    = "ns"
	UnitCount = ""
	UnitRate  = "1/s"
)

// Measure is one figure of a run: what is summed up over repeats and compared.
type Measure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Value float64 `json:"value"`
	// MoreIsBetter is true of rates of work; of times and counts less is.
	MoreIsBetter bool `json:"more_is_better,omitempty"`
}

// measuring is one row of what a run is measured by.
type measuring struct {
	name, unit string
	// of is false where the run has no such figure: it did not get there, or
	// the kernel could not be asked.
	of func(Run) (float64, bool)
}

// measurings are the figures that every run can have; those of its loads come
// on top. A transition that did not end has no time: when it was given up is
// the plan's doing, and that it did not end is the verdict's to tell.
var measurings = []measuring{
	{"apply.time", UnitNS, ofPhase(applied, phaseTime)},
	{"apply.rounds", UnitCount, ofPhase(applied, phaseRounds)},
	{"apply.waiting", UnitCount, ofPhase(applied, phaseWaiting)},
	{"revert.time", UnitNS, ofPhase(reverted, phaseTime)},
	{"revert.rounds", UnitCount, ofPhase(reverted, phaseRounds)},
	{"revert.waiting", UnitCount, ofPhase(reverted, phaseWaiting)},
}

func applied(r Run) *Phase { return r.Transition.Apply }

// reverted is the way back; a reversal is another thing, which has the time in
// it that its apply took to stall.
func reverted(r Run) *Phase {
	if p := r.Transition.Revert; p != nil && p.Way != WayReversal {
		return p
	}
	return nil
}

func ofPhase(phase func(Run) *Phase, of func(*Phase) (float64, bool)) func(Run) (float64, bool) {
	return func(r Run) (float64, bool) {
		p := phase(r)
		if p == nil || !p.Done {
			return 0, false
		}
		return of(p)
	}
}

func phaseTime(p *Phase) (float64, bool) { return float64(p.GuestNS), true }

func phaseRounds(p *Phase) (float64, bool) {
	if p.Rounds == nil {
		return 0, false
	}
	return float64(*p.Rounds), true
}

// phaseWaiting is how many tasks did not switch at once.
func phaseWaiting(p *Phase) (float64, bool) { return float64(len(p.Lanes) + p.LanesOmitted), true }

// Measures are the figures of a run, always in one order.
func (run Run) Measures() []Measure {
	var all []Measure
	for _, m := range measurings {
		if v, ok := m.of(run); ok {
			all = append(all, Measure{Name: m.name, Unit: m.unit, Value: v})
		}
	}
	if i := run.Interruption; i != nil {
		all = append(all, i.Windows.measures("interruption.", true)...)
		all = append(all, i.Witness.measures("interruption.witness.", false)...)
	}
	seen := map[string]bool{}
	for _, l := range run.Load {
		// Of two loads of one kind the first stands for both.
		if seen[l.Name] || l.RateBefore == 0 {
			continue
		}
		seen[l.Name] = true
		for _, r := range []struct {
			when string
			rate float64
		}{{"before", l.RateBefore}, {"during", l.RateDuring}, {"after", l.RateAfter}} {
			all = append(all, Measure{Name: "load." + l.Name + "." + r.when, Unit: UnitRate, Value: r.rate, MoreIsBetter: true})
		}
	}
	return all
}

// measuredWindows are all but the last, which is as the first.
var measuredWindows = []string{WindowBaseline, WindowApply, WindowPatched, WindowRevert}

// measures are the percentiles of each window; of the second witness those that
// a patch moves.
func (w *Windows) measures(prefix string, whole bool) (all []Measure) {
	for _, name := range measuredWindows {
		one := w.Named(name)
		if one == nil || one.Count == 0 {
			continue
		}
		add := func(percentile string, ns int64) {
			all = append(all, Measure{Name: prefix + name + "." + percentile, Unit: UnitNS, Value: float64(ns)})
		}
		if whole {
			add("p50", one.P50NS)
		}
		add("p99", one.P99NS)
		if whole {
			add("p999", one.P999NS)
		}
		add("max", one.MaxNS)
	}
	return all
}

// Measurable says whether a run can have figures of that name, or of one that
// begins so up to a dot.
func Measurable(name string) bool {
	var all []string
	for _, m := range measurings {
		all = append(all, m.name)
	}
	everything := &Window{Lateness: Lateness{Count: 1}}
	w := Windows{Baseline: everything, Apply: everything, Patched: everything, Revert: everything}
	for _, m := range append(w.measures("interruption.", true), w.measures("interruption.witness.", false)...) {
		all = append(all, m.Name)
	}
	for _, one := range all {
		if one == name || strings.HasPrefix(one, name+".") {
			return true
		}
	}
	return name == "load" || strings.HasPrefix(name, "load.")
}

// InTheWay is who blocks a transition, without what differs from run to run.
type InTheWay struct {
	Kind     string `json:"kind"`
	Reason   string `json:"reason"`
	Function string `json:"function,omitempty"`
}

func (b InTheWay) String() string {
	return strings.TrimSpace(b.Kind + " " + b.Reason + " " + b.Function)
}

// InTheWay are the kinds of blockers that a run ended with, each once, in
// their order.
func (run Run) InTheWay() []InTheWay {
	var all []InTheWay
	seen := map[InTheWay]bool{}
	for _, b := range run.Blockers {
		one := InTheWay{Kind: b.Kind, Reason: b.Reason, Function: b.Function}
		if !seen[one] {
			seen[one] = true
			all = append(all, one)
		}
	}
	return all
}
