// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// The ways that a transition can go.
const (
	WayApply    = "apply"
	WayRevert   = "revert"
	WayReversal = "reversal" // it was turned round before its end
)

// Transition holds both directions; null where a run did not get there.
type Transition struct {
	Apply  *Phase `json:"apply"`
	Revert *Phase `json:"revert"`
}

// Stacked is one patch of a stack.
type Stacked struct {
	Name   string `json:"name"`
	Apply  *Phase `json:"apply"`
	Revert *Phase `json:"revert"`
}

// Phase is one transition. Times named …_ns, but StartNS, are guest time since
// its start.
type Phase struct {
	Done    bool  `json:"done"`
	GuestNS int64 `json:"guest_ns"` // begin to end, or to the last sample
	// Rounds is how often the core tried to complete the transition; null
	// where the kernel could not be asked.
	Rounds    *int     `json:"rounds"`
	Signals   int      `json:"signals"`
	Samples   []Sample `json:"samples"`
	TasksLeft int      `json:"tasks_left"`

	Way     string `json:"way"`      // WayApply, WayRevert or WayReversal
	StartNS int64  `json:"start_ns"` // by the guest's CLOCK_MONOTONIC
	// TurnedNS is when a reversal was turned round; what came before is the
	// transition that it reverses.
	TurnedNS int64 `json:"turned_ns,omitempty"`
	// SwitchedNS is when the core found the last task switched, by the kernel's
	// own stamp; 0 where it could not be asked.
	SwitchedNS int64   `json:"switched_ns,omitempty"`
	RoundsNS   []int64 `json:"rounds_ns,omitempty"`
	SignalsNS  []int64 `json:"signals_ns,omitempty"`
	// Lanes are the tasks that did not switch at once, those that never did
	// first, then the last to switch first; of a reversal since its turn.
	Lanes        []Lane     `json:"lanes,omitempty"`
	LanesOmitted int        `json:"lanes_omitted,omitempty"`
	Stacks       [][]string `json:"stacks,omitempty"` // of looks, each once, outermost last
}

// Sample is a point of the convergence curve.
type Sample struct {
	GuestNS   int64 `json:"guest_ns"` // since the transition began
	TasksLeft int   `json:"tasks_left"`
	Tasks     int   `json:"tasks"`
}

// Lane is one task while it was in the way.
type Lane struct {
	Task  string `json:"task"`
	PID   int    `json:"pid"`
	Kind  string `json:"kind"`
	Looks []Look `json:"looks,omitempty"`
	// SwitchedNS is when it was seen switched, or gone; null if it never was.
	SwitchedNS *int64 `json:"switched_ns"`
	Exited     bool   `json:"exited,omitempty"`
}

// Look is one examination of a task that was in the way.
type Look struct {
	GuestNS  int64  `json:"guest_ns"`
	Reason   string `json:"reason"`
	Function string `json:"function,omitempty"`
	State    string `json:"state,omitempty"` // the letter of /proc/PID/stat
	CPU      int    `json:"cpu"`
	Round    int    `json:"round,omitempty"` // 0: unknown
	Stack    *int   `json:"stack,omitempty"` // which of the phase's stacks
	// Work is the function of a kworker's item, Frame where an unreliable stack
	// stops being trusted.
	Work  string `json:"work,omitempty"`
	Frame string `json:"frame,omitempty"`
	// Witnesses say who told of it: "proc", "core", "memory".
	Witnesses []string `json:"witnesses,omitempty"`
	Differ    string   `json:"differ,omitempty"` // where two do not agree
}

// mostLanes bounds the lanes of one transition in a report.
const mostLanes = 1000

// phaseOf is p for a report; nil for nil. blockers are those at the stall,
// patched the functions that the run's patches replace.
func phaseOf(p *observe.Phase, blockers []observe.Blocker, patched []Function) *Phase {
	if p == nil {
		return nil
	}
	out := &Phase{
		Done: p.Done(), GuestNS: int64(p.Took()), Rounds: p.Rounds, Signals: len(p.Signals), TasksLeft: p.Left(), Samples: []Sample{},
		Way: WayApply, StartNS: p.Start, RoundsNS: since(p.Tries, p.Start), SignalsNS: since(p.Signals, p.Start),
	}
	if p.To == observe.Revert {
		out.Way = WayRevert
	}
	if p.Reversed {
		out.Way, out.TurnedNS = WayReversal, p.ReversedAt-p.Start
	}
	if p.AllSwitched != 0 {
		out.SwitchedNS = p.AllSwitched - p.Start
	}
	for _, s := range p.Samples {
		out.Samples = append(out.Samples, Sample{GuestNS: s.T - p.Start, TasksLeft: s.Sample.Left, Tasks: s.Sample.Total})
	}
	out.addLanes(p, blockers, patched)
	return out
}

func since(stamps []int64, start int64) (all []int64) {
	for _, t := range stamps {
		all = append(all, t-start)
	}
	return all
}

// addLanes gathers what is known of each task that was left.
func (out *Phase) addLanes(p *observe.Phase, blockers []observe.Blocker, patched []Function) {
	l := lanes{at: map[int]int{}, stacks: map[string]int{}, patched: map[string]bool{}, phase: out}
	for _, f := range patched {
		l.patched[f.Name] = true
	}
	// Who was in the way of what a reversal reverses, that one tells.
	from := p.ReversedAt
	for _, e := range p.Blockers {
		if e.T < from {
			continue
		}
		l.look(*e.Blocker, e.T-p.Start)
	}
	for _, b := range blockers {
		l.look(b, out.GuestNS)
	}
	for _, e := range p.Tasks {
		if e.T < from {
			continue
		}
		lane := l.of(e.Task.TID, e.Task.Comm, kindOf(e.Task))
		at := e.T - p.Start
		lane.SwitchedNS, lane.Exited = &at, e.Task.Exited
	}
	slices.SortStableFunc(out.Lanes, func(a, b Lane) int { return compareSwitched(a.SwitchedNS, b.SwitchedNS) })
	if n := len(out.Lanes) - mostLanes; n > 0 {
		out.Lanes, out.LanesOmitted = out.Lanes[:mostLanes], n
	}
}

func kindOf(t *observe.Task) string {
	if t.KThread {
		return observe.KThread
	}
	return observe.UserTask
}

// compareSwitched puts never first, and late before early.
func compareSwitched(a, b *int64) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	case *a > *b:
		return -1
	case *a < *b:
		return 1
	}
	return 0
}

// lanes are those of a phase while they are gathered.
type lanes struct {
	phase  *Phase
	at     map[int]int    // thread id -> lane
	stacks map[string]int // stack -> its index

	patched map[string]bool // functions
}

func (l *lanes) of(tid int, comm, kind string) *Lane {
	i, known := l.at[tid]
	if !known {
		i = len(l.phase.Lanes)
		l.at[tid] = i
		l.phase.Lanes = append(l.phase.Lanes, Lane{Task: comm, PID: tid, Kind: kind})
	}
	return &l.phase.Lanes[i]
}

func (l *lanes) look(b observe.Blocker, at int64) {
	if b.Reason == observe.Waiting {
		l.recognise(&b)
	}
	look := Look{GuestNS: at, Reason: b.Reason, Function: b.Function, State: b.State, CPU: b.CPU, Round: b.Round,
		Work: b.Work, Frame: b.Frame, Witnesses: b.Witnesses, Differ: b.Differ}
	if len(b.Stack) > 0 {
		key := ""
		for _, frame := range b.Stack {
			key += frame + "\n"
		}
		i, known := l.stacks[key]
		if !known {
			i = len(l.phase.Stacks)
			l.stacks[key] = i
			l.phase.Stacks = append(l.phase.Stacks, b.Stack)
		}
		look.Stack = &i
	}
	tid := b.TID
	if b.Kind == observe.IdleTask { // they all have the number 0
		tid = -1 - b.CPU
	}
	lane := l.of(tid, b.Comm, b.Kind)
	lane.PID = b.TID
	lane.Kind = b.Kind // it knows more kinds than a switch tells
	lane.Looks = append(lane.Looks, look)
}

// recognise finds a patched function on the stack of a task that sleeps: the
// watcher in the guest runs before anybody knows which functions those are.
func (l *lanes) recognise(b *observe.Blocker) {
	for _, frame := range b.Stack {
		if name, _, _ := strings.Cut(frame, "+"); l.patched[name] {
			b.Reason, b.Function, b.Patched = observe.Asleep, name, true
			return
		}
	}
}
