// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"slices"
	"time"
)

// Timeline is the events of one run in the order they were recorded, which
// is the order of arrival at the host: stamps of one clock and source ascend,
// those of different sources need not.
type Timeline []Event

// Kind selects the events of one kind, in order.
func (t Timeline) Kind(kind string) Timeline {
	return t.Where(func(e Event) bool { return e.Kind == kind })
}

// Where selects events, in order.
func (t Timeline) Where(keep func(Event) bool) Timeline {
	var out Timeline
	for _, e := range t {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}

// Between selects the events with from <= T <= to on one clock.
func (t Timeline) Between(clock string, from, to int64) Timeline {
	return t.Where(func(e Event) bool { return e.Clock == clock && e.T >= from && e.T <= to })
}

// Phase is one transition of one patch from its first edge to its last.
type Phase struct {
	Patch string
	To    string // where it went at its end (a reversal changes it)
	// Start and End are ns of the guest's clock; End is 0 while it has not
	// ended. Start is the kernel's own
	// stamp where it exists.
	Start, End int64
	// AllSwitched is when the core found the last task switched, by its own
	// stamp; clean-up follows until End. 0 when this kernel cannot tell.
	AllSwitched int64
	Reversed    bool
	// ReversedAt is the look that saw it turn round; 0 if it did not.
	ReversedAt int64
	Vanished   bool // the patch's folder went away with the end
	Unseen     bool // it fell between two looks; Start is End
	// Rounds is how often the core tried; nil when this kernel cannot tell.
	Rounds  *int
	Tries   []int64 // when it did
	Signals []int64 // when the core signalled those that remained
	Samples Timeline
	Tasks   Timeline // those that switched late, and when
	// Blockers are the examinations of tasks in the way.
	Blockers Timeline

	seen int64 // the look that saw the end
}

// Examinations are those of tasks in the way of where it goes: before a reversal
// others were.
func (p *Phase) Examinations() (t Timeline) {
	for _, e := range p.Blockers {
		if e.T >= p.ReversedAt {
			t = append(t, e)
		}
	}
	return t
}

// Done says whether it ended.
func (p *Phase) Done() bool { return p.End != 0 }

// Took is the guest time from its start to its end, or to the last sample
// while it has not ended.
func (p *Phase) Took() time.Duration {
	end := p.End
	if n := len(p.Samples); end == 0 && n > 0 {
		end = p.Samples[n-1].T
	}
	return time.Duration(max(end-p.Start, 0))
}

// Left is the number of tasks left at the last sample; 0 once it ended.
func (p *Phase) Left() int {
	if n := len(p.Samples); !p.Done() && n > 0 {
		return p.Samples[n-1].Sample.Left
	}
	return 0
}

// Phases pairs the edges of the transitions of all patches, in order of their
// start. The core runs one transition at a time, so all samples, tasks,
// rounds and signals inside an interval belong to it.
func (t Timeline) Phases() []*Phase {
	var phases []*Phase
	open := map[string]*Phase{}
	traced := false
	for _, e := range t {
		if w := e.Watch; w != nil {
			traced = w.Rounds
		}
		tr := e.Transition
		if tr == nil || tr.Exact {
			continue
		}
		p := open[tr.Patch]
		switch tr.Edge {
		case EdgeStart:
			p = &Phase{Patch: tr.Patch, To: tr.To, Start: e.T, Unseen: tr.Unseen}
			if traced {
				p.Rounds = new(int)
			}
			open[tr.Patch] = p
			phases = append(phases, p)
		case EdgeReverse:
			if p != nil {
				p.Reversed, p.ReversedAt, p.To = true, e.T, tr.To
			}
		case EdgeEnd:
			if p != nil {
				p.End, p.seen, p.Vanished = e.T, e.T, tr.Vanished
				delete(open, tr.Patch)
			}
		}
	}
	t.refine(phases)
	for _, p := range phases {
		t.fill(p)
	}
	return phases
}

// refine puts the kernel's own stamps in: of the start, in place of the look
// that saw it; of the moment when the last task had switched.
func (t Timeline) refine(phases []*Phase) {
	gap := map[int64]int64{} // stamp of a look -> time since the one before
	var exact Timeline
	for _, e := range t {
		switch tr := e.Transition; {
		case tr == nil:
		case tr.Exact:
			exact = append(exact, e)
		default:
			gap[e.T] = tr.SincePrev
		}
	}
	slices.SortStableFunc(exact, func(a, b Event) int { return cmp.Compare(a.T, b.T) })
	over := int64(0) // the look that saw the end of the phase before
	for _, p := range phases {
		p.Start = exact.start(over, p.Start-gap[p.Start], p.Start)
		over = max(over, p.End)
		for _, e := range exact {
			if e.Transition.Edge == EdgeEnd && e.T >= p.Start && (!p.Done() || e.T <= p.End) {
				p.AllSwitched = e.T
			}
		}
	}
}

// start is the stamp of the start that the look at saw, which came after over,
// and not the look before it; at if there is none. It lies between the two, or
// a little before both: the core sets `transition` inside the function that is
// traced, and a watcher that the trace has woken looks before that. Such a start
// is known by its end, which is the next that was traced and was not over when
// the look before came. The events are exact ones, in order of time.
func (t Timeline) start(over, before, at int64) int64 {
	open := int64(0)
	for _, e := range t {
		switch {
		case e.Transition.Edge == EdgeEnd && e.T >= before && open > over:
			return open
		case e.Transition.Edge == EdgeEnd:
			open = 0
		case e.T > at:
			return at
		case e.T >= before:
			return e.T
		default:
			open = e.T
		}
	}
	return at
}

func (t Timeline) fill(p *Phase) {
	for _, e := range t {
		// Up to the look that saw the end, and not to the end itself: that
		// look saw the last switches as well.
		if e.Clock != Guest || e.T < p.Start || p.Done() && e.T > p.seen {
			continue
		}
		switch {
		case e.Sample != nil && e.Sample.Patch == p.Patch:
			p.Samples = append(p.Samples, e)
		case e.Task != nil:
			p.Tasks = append(p.Tasks, e)
		case e.Round != nil && p.Rounds != nil:
			*p.Rounds++
			p.Tries = append(p.Tries, e.T)
		case e.Signal != nil:
			p.Signals = append(p.Signals, e.T)
		case e.Blocker != nil:
			p.Blockers = append(p.Blockers, e)
		}
	}
}
