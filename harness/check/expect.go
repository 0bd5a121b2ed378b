// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Outcome is what came of one transition.
type Outcome struct {
	Verdict  Verdict
	Reason   string // in a sentence; of a refusal the kernel's own words
	Blockers []observe.Blocker
	// Diagnosis says why, and what to do; the sentences are in Reason too if it
	// stalled.
	Diagnosis []Diagnosis
}

func (o Outcome) String() string {
	text := string(o.Verdict)
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

// Expectation is what a case says must come of a transition.
type Expectation struct {
	Text  string // "complete", "stalled by …"
	match func(Outcome) error
}

// Check says how o differs from the expectation; nil if it does not.
func (e Expectation) Check(o Outcome) error {
	if err := e.match(o); err != nil {
		return fmt.Errorf("expected %s, got %v (%w)", e.Text, o, err)
	}
	return nil
}

// Complete expects the transition to end.
var Complete = Expectation{"complete", wants(VerdictComplete)}

func wants(v Verdict) func(Outcome) error {
	return func(o Outcome) error {
		if o.Verdict != v {
			return fmt.Errorf("the verdict is not %s", v)
		}
		return nil
	}
}

// Refused expects the kernel to say no with words that match pattern (RE2).
func Refused(pattern string) Expectation {
	re := regexp.MustCompile(pattern)
	return Expectation{fmt.Sprintf("refused with %q", pattern), func(o Outcome) error {
		if err := wants(VerdictRefused)(o); err != nil {
			return err
		}
		if !re.MatchString(o.Reason) {
			return fmt.Errorf("its words do not match")
		}
		return nil
	}}
}

// Trait is something that must hold of one and the same blocker.
type Trait struct {
	text  string
	holds func(Outcome, observe.Blocker) bool
}

// of is a trait that shows from the task alone.
func of(text string, holds func(observe.Blocker) bool) Trait {
	return Trait{text, func(_ Outcome, b observe.Blocker) bool { return holds(b) }}
}

// Named wants the task's name (comm).
func Named(comm string) Trait {
	return of("named "+comm, func(b observe.Blocker) bool { return b.Comm == comm })
}

// The kinds of tasks, as Kind wants them.
const (
	UserTask = observe.UserTask
	KThread  = observe.KThread
	KWorker  = observe.KWorker
	IOWorker = observe.IOWorker
	IdleTask = observe.IdleTask
)

// Kind wants the kind of task: UserTask, KThread, …
func Kind(kind string) Trait {
	return of("a "+kind, func(b observe.Blocker) bool { return b.Kind == kind })
}

// AsleepOn wants the task to sleep with function, a patched one, on its stack.
func AsleepOn(function string) Trait {
	return of("asleep on "+function, func(b observe.Blocker) bool {
		return b.Reason == observe.Asleep && b.Function == function
	})
}

// Running wants the task to run, or to wait for a CPU.
var Running = of("running", func(b observe.Blocker) bool { return b.Reason == observe.Running })

// UnreliableStack wants the core to have found the task's stack unreliable.
var UnreliableStack = of("with an unreliable stack", func(b observe.Blocker) bool { return b.Reason == observe.Unreliable })

// Working wants a kworker to be in a work item of that function.
func Working(function string) Trait {
	return of("working on "+function, func(b observe.Blocker) bool { return b.Work == function })
}

// ToldBy wants one of the witnesses, observe.ByProc, observe.ByCore or
// observe.ByMemory, to have told of the task.
func ToldBy(witness string) Trait {
	return of("told of by "+witness, func(b observe.Blocker) bool { return slices.Contains(b.Witnesses, witness) })
}

// Diagnosed wants the task to be explained by a rule: what is the rule's name
// ("kthread-loop", see docs/diagnoses.md) or part of its words.
func Diagnosed(what string) Trait {
	return Trait{fmt.Sprintf("diagnosed with %q", what), func(o Outcome, b observe.Blocker) bool {
		return slices.ContainsFunc(o.Diagnosis, func(d Diagnosis) bool { return d.about(b) && d.is(what) })
	}}
}

// Diagnosed is e and that the transition is explained by a rule, of its tasks
// or of the whole: what is as for the trait of that name.
func (e Expectation) Diagnosed(what string) Expectation {
	return Expectation{fmt.Sprintf("%s, diagnosed with %q", e.Text, what), func(o Outcome) error {
		if err := e.match(o); err != nil {
			return err
		}
		if !slices.ContainsFunc(o.Diagnosis, func(d Diagnosis) bool { return d.is(what) }) {
			return fmt.Errorf("the diagnosis is %q", texts(o.Diagnosis))
		}
		return nil
	}}
}

// Stalled expects the transition not to end, and one of those in the way to
// have all traits.
func Stalled(traits ...Trait) Expectation {
	var texts []string
	for _, t := range traits {
		texts = append(texts, t.text)
	}
	text := "stalled"
	if len(texts) > 0 {
		text += " by a task " + strings.Join(texts, ", ")
	}
	return Expectation{text, func(o Outcome) error {
		if err := wants(VerdictStalled)(o); err != nil || len(traits) == 0 {
			return err
		}
		for _, b := range o.Blockers {
			all := true
			for _, t := range traits {
				all = all && t.holds(o, b)
			}
			if all {
				return nil
			}
		}
		return fmt.Errorf("none of the %d blockers is that", len(o.Blockers))
	}}
}
