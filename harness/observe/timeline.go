// SPDX-License-Identifier: Apache-2.0

package observe

import "time"

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
// that saw it, when it lies in the gap before that look; of the moment when
// the last task had switched.
func (t Timeline) refine(phases []*Phase) {
	gap := map[int64]int64{} // stamp of a look -> time since the one before
	for _, e := range t {
		if tr := e.Transition; tr != nil && !tr.Exact {
			gap[e.T] = tr.SincePrev
		}
	}
	for _, e := range t {
		tr := e.Transition
		if tr == nil || !tr.Exact {
			continue
		}
		for _, p := range phases {
			switch {
			case tr.Edge == EdgeStart && e.T <= p.Start && e.T >= p.Start-gap[p.Start]:
				p.Start = e.T
			case tr.Edge == EdgeEnd && e.T >= p.Start && (!p.Done() || e.T <= p.End):
				p.AllSwitched = e.T
			}
		}
	}
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
