// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// Answer is what a run came to, so far as it must come again: the verdict and
// by whom.
type Answer struct {
	Verdict string `json:"verdict"`
	// Blockers are the tasks in the way, each kind once. Which task of them it
	// was, and how many, a race decides.
	Blockers []Blocker `json:"blockers,omitempty"`
	// Crash is the kernel's first report, without its numbers.
	Crash string `json:"crash,omitempty"`
	// Refusals are the codes of a diff's refusals.
	Refusals []string `json:"refusals,omitempty"`
}

// Blocker is a kind of task in the way.
type Blocker struct {
	Kind     string `json:"kind"`
	Reason   string `json:"reason"`
	Function string `json:"function,omitempty"`
	// Bystander: nothing that was seen of it holds a transition up. It was on
	// its way, or the core had not looked at it since. Such come and go.
	Bystander bool `json:"bystander,omitempty"`
}

func (b Blocker) String() string {
	text := fmt.Sprintf("%s %s", b.Kind, b.Reason)
	if b.Function != "" {
		text += " " + b.Function
	}
	return text
}

// AnswerOf is the answer of a run.
func AnswerOf(r report.Run) Answer {
	a := Answer{Verdict: r.Verdict}
	if len(r.LogReports) > 0 && r.Verdict == string(check.VerdictCrashed) {
		a.Crash = r.LogReports[0].Kind + ": " + withoutNumbers(r.LogReports[0].Title)
	}
	for _, ref := range r.Refusals {
		if !slices.Contains(a.Refusals, string(ref.Code)) {
			a.Refusals = append(a.Refusals, string(ref.Code))
		}
	}
	slices.Sort(a.Refusals)
	if r.Verdict != string(check.VerdictStalled) {
		return a
	}
	for _, b := range r.Blockers {
		one := Blocker{Kind: b.Kind, Reason: b.Reason, Function: functionName(b.Function)}
		one.Bystander = !(b.Reason == observe.Asleep || b.Reason == observe.Unreliable || patches(r, one.Function))
		if !slices.Contains(a.Blockers, one) {
			a.Blockers = append(a.Blockers, one)
		}
	}
	slices.SortFunc(a.Blockers, func(x, y Blocker) int {
		return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.Reason, y.Reason), strings.Compare(x.Function, y.Function))
	})
	return a
}

func patches(r report.Run, function string) bool {
	return slices.ContainsFunc(r.Patch.Functions, func(f report.Function) bool { return f.Name == function })
}

// functionName is the name without what another build, or another moment,
// changes: "f+0x12/0x40 [module]" -> "f".
func functionName(frame string) string {
	name, _, _ := strings.Cut(frame, "+0x")
	name, _, _ = strings.Cut(name, " ")
	return name
}

var number = regexp.MustCompile(`\b(0x)?[0-9a-f]*[0-9][0-9a-f]*\b`)

func withoutNumbers(title string) string { return number.ReplaceAllString(title, "#") }

// Same says whether b is the answer a again. Bystanders do not count, unless
// there is nobody else.
func (a Answer) Same(b Answer) bool {
	return a.Verdict == b.Verdict && a.Crash == b.Crash && slices.Equal(a.Refusals, b.Refusals) && slices.Equal(a.decisive(b), b.decisive(a))
}

// decisive are the blockers by which a is held against other.
func (a Answer) decisive(other Answer) []Blocker {
	firm := func(all []Blocker) []Blocker {
		return slices.DeleteFunc(slices.Clone(all), func(b Blocker) bool { return b.Bystander })
	}
	if len(firm(a.Blockers))+len(firm(other.Blockers)) == 0 {
		return a.Blockers
	}
	return firm(a.Blockers)
}

func (a Answer) String() string {
	text := a.Verdict
	if text == "" {
		text = "no verdict"
	}
	var by []string
	for _, b := range a.decisive(Answer{}) {
		by = append(by, b.String())
	}
	by = append(by, a.Refusals...)
	if a.Crash != "" {
		by = append(by, a.Crash)
	}
	if len(by) > 0 {
		text += " by " + strings.Join(by, " and ")
	}
	return text
}
