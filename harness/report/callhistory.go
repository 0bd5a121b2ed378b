// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// CallsOf computes what a timeline tells of the calls of patched functions; nil
// if nobody asked for them.
func CallsOf(t observe.Timeline) *Calls {
	h := callHistory{
		calls: &Calls{Functions: []CalledFunction{}, Unexercised: []string{}},
		at:    map[traced]int{}, patches: map[string]observe.TracedPatch{}, callers: map[traced]map[string]uint64{}, exercised: map[traced]bool{},
	}
	for _, e := range t {
		if e.Tracing != nil {
			h.take(e.Tracing)
		}
	}
	if !h.asked {
		return nil
	}
	h.windows = h.settled(t.Phases())
	for _, e := range t {
		switch {
		case e.Lost != nil && e.Lost.Source == observe.LostCalls:
			h.calls.Lost += e.Lost.N
		case e.Calls != nil:
			h.calls.Cost.Events += e.Calls.Events
			h.calls.Cost.CPUNS += e.Calls.CPUNS
			for _, c := range e.Calls.Counts {
				h.count(c, e.Calls.Moving)
			}
		case e.Call != nil:
			h.show(e.T, e.Call)
		}
	}
	h.conclude()
	return h.calls
}

// traced is a function whose calls are seen.
type traced struct {
	object, name string
	sympos       uint64
}

func (f traced) String() string { return f.object + ":" + f.name }

// callHistory gathers Calls.
type callHistory struct {
	calls     *Calls
	asked     bool
	exact     bool
	why       string
	at        map[traced]int // -> calls.Functions
	patches   map[string]observe.TracedPatch
	windows   []window
	callers   map[traced]map[string]uint64
	exercised map[traced]bool // whose replacement was called
}

// window is a time in which no transition was under way and at least one was
// complete: each function has one version then.
type window struct {
	from, until int64    // until is 0 for the end
	stack       []string // patches, the one that was applied last at the end
	after       string   // "the apply of x"
}

func (h *callHistory) take(t *observe.Tracing) {
	h.asked = true
	if t.Patch != "" {
		h.patches[t.Patch] = t.TracedPatch
		h.exact = t.Exact
		h.why = cmp.Or(h.why, t.Why)
	}
	for _, f := range t.Functions {
		key := traced{f.Object, f.Name, f.Sympos}
		if _, known := h.at[key]; !known {
			h.at[key] = len(h.calls.Functions)
			h.calls.Functions = append(h.calls.Functions, CalledFunction{
				Object: f.Object, Name: f.Name, Sympos: f.Sympos, Callers: []Caller{}, Contexts: map[string]uint64{},
			})
		}
	}
	for name, why := range t.Unseen {
		for i := range h.calls.Functions {
			if f := &h.calls.Functions[i]; f.Object+":"+f.Name == name {
				f.Unseen = why
			}
		}
	}
}

// settled are the windows between the transitions.
func (h *callHistory) settled(phases []*observe.Phase) (all []window) {
	var stack []string
	for i, p := range phases {
		if !p.Done() {
			break // it goes on, so nothing is settled any more
		}
		w := window{from: p.End, after: p.To + " of " + p.Patch}
		if h.exact && p.AllSwitched != 0 {
			w.from = p.AllSwitched
		}
		switch {
		case p.To == observe.Revert:
			stack = slices.DeleteFunc(slices.Clone(stack), func(s string) bool { return s == p.Patch })
		case h.patches[p.Patch].Replace:
			stack = []string{p.Patch}
		case !slices.Contains(stack, p.Patch): // a revert that was turned round left it where it was
			stack = append(slices.Clone(stack), p.Patch)
		}
		w.stack = stack
		if i+1 < len(phases) {
			w.until = phases[i+1].Start
		}
		all = append(all, w)
	}
	return all
}

// windowOf is the window in which all of first to last lies; nil if none.
func (h *callHistory) windowOf(first, last int64) *window {
	for i := range h.windows {
		if w := &h.windows[i]; first > w.from && (w.until == 0 || last < w.until) {
			return w
		}
	}
	return nil
}

// version is which code of a function should run.
func (h *callHistory) version(w *window, f traced) string {
	for _, patch := range slices.Backward(w.stack) {
		for _, g := range h.patches[patch].Functions {
			if f == (traced{g.Object, g.Name, g.Sympos}) {
				return patch
			}
		}
	}
	return observe.Original
}

func (h *callHistory) count(c observe.CallCount, moving bool) {
	key := traced{c.Object, c.Name, c.Sympos}
	i, known := h.at[key]
	if !known || c.N == 0 {
		return
	}
	f := &h.calls.Functions[i]
	f.Contexts[c.Context] += c.N
	if h.callers[key] == nil {
		h.callers[key] = map[string]uint64{}
	}
	h.callers[key][cmp.Or(c.Caller, "(others)")] += c.N
	if c.Version == observe.Original {
		f.Old += c.N
		f.LastOldNS = max(f.LastOldNS, c.Last)
	} else {
		f.New += c.N
		h.exercised[key] = true
		if f.Versions == nil {
			f.Versions = map[string]uint64{}
		}
		f.Versions[c.Version] += c.N
		if f.FirstNewNS == 0 || c.First < f.FirstNewNS {
			f.FirstNewNS = c.First
		}
	}
	if moving {
		return
	}
	if w := h.windowOf(c.First, c.Last); w != nil && h.version(w, key) != c.Version {
		f.AfterCompletion += c.N
	}
}

// mostLateCalls bounds the late calls that are told one by one.
const mostLateCalls = 20

func (h *callHistory) show(t int64, c *observe.Call) {
	key := traced{c.Object, c.Name, c.Sympos}
	w := h.windowOf(t, t)
	if w == nil || len(h.calls.Late) >= mostLateCalls || h.version(w, key) == c.Version {
		return
	}
	if h.exact && t < w.from+lateSlack {
		return
	}
	h.calls.Late = append(h.calls.Late, LateCall{
		Function: key.String(), Version: c.Version, Caller: c.Caller, Context: c.Context, Task: c.Comm, PID: c.TID,
		GuestNS: t, After: w.after, AfterNS: t - w.from,
	})
}

// lateSlack is that of package calls, in ns: the intervals are cut so far
// behind a completion.
const lateSlack = 1e6

// mostCallers bounds the callers of one function in a report.
const mostCallers = 32

func (h *callHistory) conclude() {
	c := h.calls
	switch {
	case h.why != "":
		c.Void = h.why
	case c.Lost > 0:
		c.Void = fmt.Sprintf("%d trace events were lost, so the calls are not all here", c.Lost)
	}
	for i := range c.Functions {
		f := &c.Functions[i]
		c.Old, c.New = c.Old+f.Old, c.New+f.New
		c.LastOldNS = max(c.LastOldNS, f.LastOldNS)
		key := traced{f.Object, f.Name, f.Sympos}
		for _, name := range slices.Sorted(maps.Keys(h.callers[key])) {
			f.Callers = append(f.Callers, Caller{Function: name, N: h.callers[key][name]})
		}
		slices.SortStableFunc(f.Callers, func(a, b Caller) int { return cmp.Compare(b.N, a.N) })
		f.Callers = f.Callers[:min(len(f.Callers), mostCallers)]
		if c.Void == "" && f.Unseen == "" && !h.exercised[key] && h.applied(key) {
			c.Unexercised = append(c.Unexercised, key.String())
		}
	}
}

// applied says whether a patch of f was ever applied to the end.
func (h *callHistory) applied(f traced) bool {
	return slices.ContainsFunc(h.windows, func(w window) bool { return h.version(&w, f) != observe.Original })
}

// Wrong says, in a sentence for each function, which calls ran a version whose
// time was over; none if nothing is to be concluded.
func (c *Calls) Wrong() (sentences []string) {
	if c == nil || c.Void != "" {
		return nil
	}
	for _, f := range c.Functions {
		if f.AfterCompletion == 0 || f.Unseen != "" {
			continue
		}
		text := fmt.Sprintf("%d calls of %s() ran code whose time was over", f.AfterCompletion, f.Name)
		if f.AfterCompletion == 1 {
			text = fmt.Sprintf("a call of %s() ran code whose time was over", f.Name)
		}
		i := slices.IndexFunc(c.Late, func(l LateCall) bool { return l.Function == f.Object+":"+f.Name })
		if i >= 0 {
			text += ": " + c.Late[i].text()
		}
		sentences = append(sentences, text)
	}
	return sentences
}

// text is "the kernel's own 1.3 ms after the apply of fix was complete, called
// by seq_read_iter in a system call of cat/97".
func (l LateCall) text() string {
	code := "the kernel's own"
	if l.Version != "" {
		code = "that of " + l.Version
	}
	text := fmt.Sprintf("%s, %s after the %s was complete", code, seconds(l.AfterNS), l.After)
	if l.Caller != "" {
		text += ", called by " + l.Caller
	}
	text += " (" + l.Context
	if l.Task != "" {
		text += fmt.Sprintf(" of %s/%d", l.Task, l.PID)
	}
	return text + ")"
}

// warnings say what the calls do not show.
func (c *Calls) warnings() (all []string) {
	switch {
	case c == nil:
		return nil
	case c.Void != "" && c.Lost == 0:
		all = append(all, "the calls of the patched functions were not seen: "+c.Void)
	case c.Void != "":
		all = append(all, c.Void+": nothing is concluded from them")
	}
	for _, f := range c.Functions {
		if f.Unseen != "" {
			all = append(all, fmt.Sprintf("not all calls of %s() are seen: %s", f.Name, f.Unseen))
		}
	}
	if len(c.Unexercised) > 0 {
		var names []string
		for _, f := range c.Unexercised {
			names = append(names, strings.TrimPrefix(f, "vmlinux:")+"()")
		}
		all = append(all, "unexercised: nobody called the new "+strings.Join(names, ", ")+": that it is right was not seen; give a load that comes there")
	}
	return all
}
