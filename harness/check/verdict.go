// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what a run showed, in one word.
type Verdict string

// The verdicts, worst evidence last; see docs/how-a-run-works.md.
const (
	// VerdictComplete: the transition ended, the new code ran, everything was put
	// back.
	VerdictComplete Verdict = "complete"
	// VerdictStalled: the transition had not ended after the stall time.
	VerdictStalled Verdict = "stalled"
	// VerdictRefused: the kernel did not take the patch, or no live patch can be
	// made of it.
	VerdictRefused Verdict = "refused"
	// VerdictIneffective: a probe or the tracing of calls saw code that should
	// not have run there: the old one while patched, the new one after the
	// revert; or no transition began at all.
	VerdictIneffective Verdict = "ineffective"
	// VerdictInconsistent: a load saw a result that neither the old nor the new
	// code gives.
	VerdictInconsistent Verdict = "inconsistent"
	// VerdictLeaked: after the revert something stayed.
	VerdictLeaked Verdict = "leaked"
	// VerdictCrashed: the kernel reported a bug.
	VerdictCrashed Verdict = "crashed"
	// VerdictLost: the machine died without a report of its kernel.
	VerdictLost Verdict = "lost"
)

// Verdicts are all of them, in the order above.
var Verdicts = []Verdict{
	VerdictComplete, VerdictStalled, VerdictRefused, VerdictIneffective,
	VerdictInconsistent, VerdictLeaked, VerdictCrashed, VerdictLost,
}

// Phase is one transition as it was seen.
type Phase struct {
	Name      string // "apply" or "revert"
	Started   bool
	Done      bool
	Took      time.Duration // guest CLOCK_MONOTONIC
	TasksLeft int           // at the last sample
	Blockers  []string      // who was left, in words, at the last sample
	Diagnosis []Diagnosis   // why
}

// Evidence is all that a judgement rests on.
type Evidence struct {
	Phases  []Phase
	Refusal string      // the kernel's own words for not taking the patch, "" if it took it
	Reports []LogReport // of the kernel log, first to last
	Death   error       // how the machine died, nil if it was there to the end
	// WrongProbes and WrongLoads say, each in a sentence, what was seen that
	// should not have been.
	WrongProbes, WrongLoads []string
	// LateCalls say, each in a sentence, which calls ran a version of a patched
	// function whose time was over. From a history that is not whole there are
	// none.
	LateCalls []string
	Leaks     []string // what stayed after the revert
}

// Judge gives the verdict and its reason in a sentence.
//
// The order matters: a crash explains everything after it, a refusal means
// nothing was patched, and only a transition that ended can be ineffective.
func Judge(e Evidence) (Verdict, string) {
	if len(e.Reports) > 0 {
		r := e.Reports[0]
		return VerdictCrashed, fmt.Sprintf("the kernel reported: %s", r.Title)
	}
	if e.Death != nil {
		return VerdictLost, e.Death.Error()
	}
	if e.Refusal != "" {
		return VerdictRefused, e.Refusal
	}
	for _, p := range e.Phases {
		if !p.Started {
			return VerdictIneffective, fmt.Sprintf("no transition began (%s): does the module call klp_enable_patch?", p.Name)
		}
		if !p.Done {
			return VerdictStalled, stallReason(p)
		}
	}
	if len(e.WrongLoads) > 0 {
		return VerdictInconsistent, strings.Join(e.WrongLoads, "; ")
	}
	if wrong := slices.Concat(e.WrongProbes, e.LateCalls); len(wrong) > 0 {
		return VerdictIneffective, strings.Join(wrong, "; ")
	}
	if len(e.Leaks) > 0 {
		return VerdictLeaked, "after the revert there is still " + strings.Join(e.Leaks, ", ")
	}
	return VerdictComplete, ""
}

func stallReason(p Phase) string {
	text := fmt.Sprintf("%s not done after %.1f s of guest time, %s left", p.Name, p.Took.Seconds(), plural(p.TasksLeft, "task"))
	if n := len(p.Blockers); n > mostTold {
		text += ": " + strings.Join(p.Blockers[:mostTold], "; ") + fmt.Sprintf("; and %d more", n-mostTold)
	} else if n > 0 {
		text += ": " + strings.Join(p.Blockers, "; ")
	}
	for _, d := range p.Diagnosis {
		text += ". " + d.Text
	}
	return text
}

// mostTold is how many of those in the way a reason names.
const mostTold = 10

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
