// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// Blocker is a task that was not switched when a stall was called.
type Blocker struct {
	Task     string   `json:"task"`
	PID      int      `json:"pid"`
	Kind     string   `json:"kind"`
	Reason   string   `json:"reason"`
	Function string   `json:"function,omitempty"`
	Stack    []string `json:"stack,omitempty"`
	Rounds   int      `json:"rounds,omitempty"`
	FirstNS  int64    `json:"first_ns"` // guest time since the transition began, when it was first examined
	LastNS   int64    `json:"last_ns"`
	CPU      int      `json:"cpu"` // where it ran last, or runs
	// Work is the function of the work item that a kworker is in.
	Work string `json:"work,omitempty"`
	// Frame is where the unwinder stops trusting an unreliable stack.
	Frame string `json:"frame,omitempty"`
	// Witnesses say who told of it: "proc", "core" (the debug messages of the
	// kernel's livepatch core), "memory" (read from outside of the guest).
	Witnesses []string `json:"witnesses,omitempty"`
	Differ    string   `json:"differ,omitempty"` // where two do not agree, in a sentence
	// Diagnosis says why it is in the way, and what to do.
	Diagnosis string `json:"diagnosis,omitempty"`
}

// BlockersOf are the tasks in the way of p when a stall was called; none of a
// transition that never began.
func BlockersOf(p *observe.Phase, blockers []observe.Blocker) []Blocker {
	return blockersOf(p, blockers, nil)
}

func blockersOf(p *observe.Phase, blockers []observe.Blocker, diagnosis []check.Diagnosis) []Blocker {
	var all []Blocker
	if p == nil {
		return nil
	}
	first := map[int]int64{}
	for _, e := range p.Examinations() {
		if _, known := first[e.Blocker.TID]; !known {
			first[e.Blocker.TID] = e.T - p.Start
		}
	}
	why := map[int]string{}
	for _, d := range diagnosis {
		for _, tid := range d.TIDs {
			why[tid] = d.Text
		}
	}
	for _, b := range blockers {
		r := Blocker{
			Task: b.Comm, PID: b.TID, Kind: b.Kind, Reason: b.Reason, Function: b.Function, Stack: b.Stack,
			LastNS: int64(p.Took()), CPU: b.CPU, Work: b.Work, Frame: b.Frame, Witnesses: b.Witnesses, Differ: b.Differ,
			Diagnosis: why[b.TID],
		}
		if p.Rounds != nil {
			r.Rounds = *p.Rounds
		}
		r.FirstNS = r.LastNS
		if t, known := first[b.TID]; known {
			r.FirstNS = t
		}
		all = append(all, r)
	}
	return all
}

// takeFollowed takes in the transitions as they were followed. It comes behind
// the facts: what a kernel can do says what to make of a stall.
func (h *history) takeFollowed() {
	for _, f := range h.follows {
		w := h.wayOf(f.Phase(h.timeline), f.Blockers, f.Events)
		p := check.PhaseOf(f.To, w.phase, w.blockers, check.Setting{})
		p.Diagnosis = w.diagnosis
		h.evidence.Phases = append(h.evidence.Phases, p)
		h.put(f.Patch, f.To, w)
	}
}

// wayOf is a transition with what there is to say of it, as of the first
// events of the timeline.
func (h *history) wayOf(p *observe.Phase, blockers []observe.Blocker, events int) *way {
	setting := check.Setting{Broken: check.BrokenLoads(h.timeline[:min(max(events, 0), len(h.timeline))], p)}
	if can := h.run.Kernel.Capabilities; can != nil {
		setting.Can = func(c kernels.Capability) bool { return slices.Contains(can, c) }
	}
	return &way{phase: p, blockers: blockers, diagnosis: check.Diagnose(p, blockers, setting)}
}

// remembered are those that were in the way when the guest fell silent, as its
// memory had it, with what the last look in /proc had found of them.
func remembered(p *observe.Phase) (all []observe.Blocker) {
	last := map[int]*observe.Blocker{}
	for _, e := range p.Examinations() {
		b := *e.Blocker
		if !slices.Contains(b.Witnesses, observe.ByMemory) {
			last[b.TID] = e.Blocker
			continue
		}
		if seen := last[b.TID]; seen != nil && b.Kind != observe.IdleTask {
			b.Witnesses = append(slices.Clone(seen.Witnesses), observe.ByMemory)
			b.Work, b.Stack, b.Wchan, b.NoHZFull, b.VCPU = seen.Work, seen.Stack, seen.Wchan, seen.NoHZFull, seen.VCPU
			switch {
			case b.Reason == observe.Waiting && seen.Reason != observe.Running:
				b.Reason, b.Function, b.Patched, b.Frame = seen.Reason, seen.Function, seen.Patched, seen.Frame
			case b.Reason != seen.Reason:
				b.Differ = "the last look in /proc found it " + seen.Reason + ", memory has it " + b.Reason
			}
		}
		all = append(all, b)
	}
	return all
}

// lastSeen are those that the examinations of a transition found in the way and
// that nobody has seen switched since, as the last look at each had it.
func lastSeen(p *observe.Phase) (all []observe.Blocker) {
	if p.Done() {
		return nil
	}
	switched := map[int]int64{}
	for _, e := range p.Tasks {
		switched[e.Task.TID] = e.T
	}
	type one struct {
		tid  int
		comm string // idle tasks have one tid
	}
	at := map[one]int{}
	for _, e := range p.Examinations() {
		b := e.Blocker
		if e.T < switched[b.TID] {
			continue
		}
		if i, known := at[one{b.TID, b.Comm}]; known {
			all[i] = *b
		} else {
			at[one{b.TID, b.Comm}], all = len(all), append(all, *b)
		}
	}
	return all
}

// silentReason adds to the reason why a machine was lost who was in the way
// then; "" if memory was not read.
func silentReason(all []Blocker) string {
	var names []string
	n := 0
	for _, b := range all {
		if !slices.Contains(b.Witnesses, observe.ByMemory) {
			continue
		}
		if n++; n <= mostSilent {
			names = append(names, fmt.Sprintf("%s/%d (%s) %s", b.Task, b.PID, b.Kind, b.Reason))
		}
	}
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("; by its memory %d tasks had not switched then: %s", n, strings.Join(names, ", "))
	if n > mostSilent {
		text += fmt.Sprintf(" and %d more", n-mostSilent)
	}
	return text
}

// mostSilent is how many tasks a lost machine's reason names.
const mostSilent = 10
