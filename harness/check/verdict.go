// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
	"time"
)

// Verdict is what a run showed, in one word.
type Verdict string

// The verdicts, worst evidence last; see docs/how-a-run-works.md.
const (
	// Complete: the transition ended, the new code ran, everything was put
	// back.
	Complete Verdict = "complete"
	// Stalled: the transition had not ended after the stall time.
	Stalled Verdict = "stalled"
	// Refused: the kernel, or Switchyard before it, did not take the patch.
	Refused Verdict = "refused"
	// Ineffective: the transition ended and old code still ran.
	Ineffective Verdict = "ineffective"
	// Inconsistent: a load or a probe saw a result that neither the old nor
	// the new code gives.
	Inconsistent Verdict = "inconsistent"
	// Leaked: after the revert something stayed.
	Leaked Verdict = "leaked"
	// Crashed: the kernel reported a bug.
	Crashed Verdict = "crashed"
	// Lost: the machine died without a report of its kernel.
	Lost Verdict = "lost"
)

// Phase is one transition as it was seen.
type Phase struct {
	Name      string // "apply" or "revert"
	Started   bool
	Done      bool
	Took      time.Duration // guest CLOCK_MONOTONIC
	TasksLeft int           // at the last sample
	Blockers  []string      // who was left, in words, at the last sample
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
	Leaks                   []string // what stayed after the revert
}

// Judge gives the verdict and its reason in a sentence.
//
// The order matters: a crash explains everything after it, a refusal means
// nothing was patched, and only a transition that ended can be ineffective.
func Judge(e Evidence) (Verdict, string) {
	if len(e.Reports) > 0 {
		r := e.Reports[0]
		return Crashed, fmt.Sprintf("the kernel reported: %s", r.Title)
	}
	if e.Death != nil {
		return Lost, e.Death.Error()
	}
	if e.Refusal != "" {
		return Refused, e.Refusal
	}
	for _, p := range e.Phases {
		if p.Started && !p.Done {
			return Stalled, stallReason(p)
		}
	}
	if len(e.WrongLoads) > 0 {
		return Inconsistent, strings.Join(e.WrongLoads, "; ")
	}
	if len(e.WrongProbes) > 0 {
		return Ineffective, strings.Join(e.WrongProbes, "; ")
	}
	if len(e.Leaks) > 0 {
		return Leaked, "after the revert there is still " + strings.Join(e.Leaks, ", ")
	}
	return Complete, ""
}

func stallReason(p Phase) string {
	text := fmt.Sprintf("%s not done after %.1f s of guest time, %s left", p.Name, p.Took.Seconds(), plural(p.TasksLeft, "task"))
	if len(p.Blockers) > 0 {
		text += ": " + strings.Join(p.Blockers, "; ")
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
