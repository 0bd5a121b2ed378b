// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// merge puts what the core said of its round to what /proc showed after it.
// Why a task was not switched the core knows better, so its reason holds;
// where the two do not fit, Differ says so. A task that /proc no longer shows
// unswitched was switched meanwhile; of idle tasks the core alone tells.
func (words coreWords) merge(seen []observe.Blocker) []observe.Blocker {
	if len(words) == 0 {
		return seen // it was not asked, or said nothing
	}
	of := map[int]coreWord{}
	for _, w := range words {
		if w.tid != 0 {
			of[w.tid] = w // the last, of the newest round
		}
	}
	for i := range seen {
		b := &seen[i]
		w, told := of[b.TID]
		if !told {
			b.Differ = "the core's messages of that round do not name it, /proc shows it unswitched after the round"
			continue
		}
		b.Witnesses = append(b.Witnesses, observe.ByCore)
		b.Differ = w.differs(*b)
		w.apply(b)
	}
	idle := map[string]bool{}
	for _, w := range slices.Backward(words) {
		if w.tid != 0 || idle[w.comm] {
			continue
		}
		idle[w.comm] = true
		seen = append(seen, w.idle())
	}
	return seen
}

// differs says in a sentence how the core's word does not fit what /proc
// showed a moment later, "" if it does.
func (w coreWord) differs(b observe.Blocker) string {
	switch {
	case w.reason == observe.Running && b.State != "R":
		return fmt.Sprintf("the core found it running, /proc a moment later in state %s in %s", b.State, orNowhere(b.Function))
	case w.reason != observe.Running && b.State == "R":
		return fmt.Sprintf("the core found it %s, /proc a moment later running", w)
	case w.reason == observe.Asleep && !b.Patched && !onStack(b.Stack, w.function):
		return fmt.Sprintf("the core found it %s, which /proc does not show on its stack", w)
	}
	return ""
}

func (w coreWord) String() string {
	switch w.reason {
	case observe.Asleep:
		return "asleep on " + w.function + "()"
	case observe.Unreliable:
		return "with an unreliable stack"
	}
	return w.reason
}

func orNowhere(function string) string {
	if function == "" {
		return "a place unknown"
	}
	return function + "()"
}

func onStack(stack []string, function string) bool {
	return slices.ContainsFunc(stack, func(f string) bool {
		name, _ := frameFunction(f)
		return name == function || parent(name) == function
	})
}

// apply makes the core's reason the task's.
func (w coreWord) apply(b *observe.Blocker) {
	b.Reason = w.reason
	switch {
	case w.reason == observe.Unreliable:
		b.Frame = untrusted(b.Stack)
	case w.reason == observe.Asleep && !b.Patched:
		// /proc was not told which functions are patched, or differs.
		b.Function, b.Patched = w.function, true
	}
}

// idle is the blocker that an idle task is.
func (w coreWord) idle() observe.Blocker {
	b := observe.Blocker{
		Comm: w.comm, Kind: observe.IdleTask, Reason: w.reason, State: "R", Function: w.function,
		Patched: w.function != "", Witnesses: []string{observe.ByCore},
	}
	if _, cpu, ok := strings.Cut(w.comm, "/"); ok {
		b.CPU, _ = strconv.Atoi(cpu)
	}
	return b
}
