// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// pagePhase is one transition on the page.
type pagePhase struct {
	Path, Title string
	Rows        []row
	Curve       pagePlot
	Tasks       string     // how many lanes there are
	Lanes       []pageLane // of those that were looked at, or never switched
	Quick       []pageLane // the others
	Open        bool       // the lanes are what this page is about
	Stacks      []pageStack
}

type pageLane struct {
	Task, PID   figure
	Kind, Label string
	Bars        []bar
	Looks       []pageLook
}

// bar is a part of a lane, in percent of it.
type bar struct {
	Class       string
	Left, Width float64
}

type pageLook struct {
	At          figure
	Text, Stack string
}

type pageStack struct {
	ID     string
	Frames []string
}

// pageLine is a line of the kernel's log, or a mark in it.
type pageLine struct{ At, Text, Class string }

// named is a transition with where it stands in report.json.
type named struct {
	path, patch string
	phase       *Phase
}

// phases are all transitions of the run, in order.
func (r *Run) phases(path string) (all []named) {
	add := func(at, patch string, t Transition) {
		for _, n := range []named{{at + "/apply", patch, t.Apply}, {at + "/revert", patch, t.Revert}} {
			if n.phase != nil {
				all = append(all, n)
			}
		}
	}
	if len(r.Stack) == 0 {
		add(path+"/transition", "", r.Transition)
	}
	for i, s := range r.Stack {
		add(fmt.Sprintf("%s/stack/%d", path, i), s.Name, Transition{s.Apply, s.Revert})
	}
	slices.SortStableFunc(all, func(a, b named) int { return cmp.Compare(a.phase.StartNS, b.phase.StartNS) })
	return all
}

// mostShown bounds the lanes on the page; report.json has more of them.
const mostShown = 200

var phaseTitles = map[string]string{WayApply: "Apply", WayRevert: "Revert", WayReversal: "Reversal"}

func (n named) page() (pagePhase, error) {
	p := n.phase
	out := pagePhase{Path: n.path, Title: cmp.Or(phaseTitles[p.Way], "Transition"), Rows: n.rows(), Open: !p.Done}
	if n.patch != "" {
		out.Title += " of " + oneLine(n.patch)
	}
	if !p.Done {
		out.Title += ", not done"
	}
	var err error
	if out.Curve, err = p.convergence().page(); err != nil {
		return out, err
	}
	shown := p.Lanes[:min(len(p.Lanes), mostShown)]
	switch all := len(p.Lanes) + p.LanesOmitted; {
	case all > len(shown):
		out.Tasks = fmt.Sprintf("%d tasks, the last %d of them here", all, len(shown))
	case all == 1:
		out.Tasks = "1 task"
	case all > 1:
		out.Tasks = fmt.Sprintf("%d tasks", all)
	}
	for i, l := range shown {
		if l.SwitchedNS == nil || len(l.Looks) > 0 {
			out.Lanes = append(out.Lanes, n.lane(i))
		} else {
			out.Quick = append(out.Quick, n.lane(i))
		}
	}
	for i, s := range p.Stacks {
		out.Stacks = append(out.Stacks, pageStack{n.stackID(i), oneLines(s)})
	}
	return out, nil
}

func (n named) stackID(i int) string {
	return "stack" + slug(n.path) + "-" + fmt.Sprint(i)
}

// slug is a path as part of an id.
func slug(path string) string {
	out := []byte(path)
	for i, b := range out {
		if b == '/' {
			out[i] = '-'
		}
	}
	return string(out)
}

func (n named) rows() []row {
	p := n.phase
	took := "took"
	if !p.Done {
		took = "followed for"
	}
	rows := []row{{took, []figure{duration(n.path+"/guest_ns", p.GuestNS)}}}
	if p.TurnedNS != 0 {
		rows = append(rows, row{"turned round after", []figure{duration(n.path+"/turned_ns", p.TurnedNS)}})
	}
	if p.SwitchedNS != 0 {
		rows = append(rows, row{"last task switched after", []figure{duration(n.path+"/switched_ns", p.SwitchedNS)}})
	}
	rounds := figure{n.path + "/rounds", "null", "unknown: this kernel could not be asked"}
	if p.Rounds != nil {
		rounds = number(n.path+"/rounds", *p.Rounds)
	}
	return append(rows,
		row{"rounds", []figure{rounds}},
		row{"signals", []figure{number(n.path+"/signals", p.Signals)}},
		row{"tasks left", []figure{number(n.path+"/tasks_left", p.TasksLeft)}},
	)
}

// reasonClasses are the colours of reasons; see page.css.
var reasonClasses = map[string]string{
	"running": "running", "asleep on patched": "asleep", "unreliable stack": "unreliable", "asleep elsewhere": "waiting",
}

func (n named) lane(i int) pageLane {
	l := n.phase.Lanes[i]
	at := fmt.Sprintf("%s/lanes/%d", n.path, i)
	out := pageLane{Task: text(at+"/task", l.Task), PID: number(at+"/pid", l.PID), Kind: oneLine(l.Kind)}
	end := n.phase.GuestNS
	switch {
	case l.SwitchedNS == nil:
		out.Label = "not switched after " + seconds(end)
	case l.Exited:
		end, out.Label = *l.SwitchedNS, "ended after "+seconds(*l.SwitchedNS)
	default:
		end, out.Label = *l.SwitchedNS, "switched after "+seconds(*l.SwitchedNS)
	}
	from, class := n.phase.TurnedNS, "unknown"
	for j, k := range l.Looks {
		out.Bars = n.bars(out.Bars, class, from, k.GuestNS)
		from, class = k.GuestNS, cmp.Or(reasonClasses[k.Reason], "unknown")
		look := pageLook{At: duration(fmt.Sprintf("%s/looks/%d/guest_ns", at, j), k.GuestNS), Text: oneLine(k.words())}
		if k.Stack != nil && *k.Stack >= 0 && *k.Stack < len(n.phase.Stacks) {
			look.Stack = n.stackID(*k.Stack)
		}
		out.Looks = append(out.Looks, look)
		if j == len(l.Looks)-1 {
			out.Label += ", " + oneLine(k.words())
		}
	}
	out.Bars = n.bars(out.Bars, class, from, end)
	return out
}

func (k Look) words() string {
	words := k.Reason
	if k.Function != "" {
		words += " " + k.Function
	}
	if k.Frame != "" {
		words += " at " + k.Frame
	}
	if k.Work != "" {
		words += ", work " + k.Work
	}
	if k.Reason == "running" {
		words += fmt.Sprintf(" on CPU %d", k.CPU)
	}
	if k.Round > 0 {
		words += fmt.Sprintf(", round %d", k.Round)
	}
	if len(k.Witnesses) > 0 {
		words += ", told by " + strings.Join(k.Witnesses, " and ")
	}
	if k.Differ != "" {
		words += "; the witnesses differ: " + k.Differ
	}
	return words
}

// bars adds the part from one moment to another; what is of the same class
// becomes one.
func (n named) bars(all []bar, class string, from, to int64) []bar {
	whole := float64(max(n.phase.GuestNS, 1))
	percent := func(ns int64) float64 { return math.Round(1e4*min(max(float64(ns)/whole, 0), 1)) / 100 }
	b := bar{class, percent(from), percent(to) - percent(from)}
	switch last := len(all) - 1; {
	case b.Width <= 0:
	case last >= 0 && all[last].Class == class:
		all[last].Width = math.Round(100*(all[last].Width+b.Width)) / 100
	default:
		b.Width = math.Round(100*b.Width) / 100
		all = append(all, b)
	}
	return all
}

// lines are the kernel's log with marks where transitions stood. Times are
// since the first transition began, or of the guest's clock if none did.
func (r *Run) lines() (out []pageLine) {
	type stamped struct {
		at   int64
		line pageLine
	}
	var all []stamped
	mark := func(at int64, text string) { all = append(all, stamped{at, pageLine{Text: text, Class: "mark"}}) }
	phases := r.phases("")
	for _, n := range phases {
		p, name := n.phase, phaseTitles[n.phase.Way]
		if p.Way == WayReversal {
			mark(p.StartNS+p.TurnedNS, "turned round")
		} else {
			mark(p.StartNS, name+" begins")
		}
		for i, t := range p.RoundsNS[:min(len(p.RoundsNS), 100)] {
			if t >= p.TurnedNS {
				mark(p.StartNS+t, fmt.Sprintf("round %d", i+1))
			}
		}
		for _, t := range p.SignalsNS[:min(len(p.SignalsNS), 100)] {
			if t >= p.TurnedNS {
				mark(p.StartNS+t, "the core signals those left")
			}
		}
		if p.Done {
			mark(p.StartNS+p.GuestNS, name+" ends")
		}
	}
	if len(r.KernelLog) == 0 {
		return nil
	}
	for _, l := range r.KernelLog {
		class := ""
		if l.Level <= 4 { // a warning or worse
			class = "loud"
		}
		all = append(all, stamped{l.GuestNS, pageLine{Text: oneLine(l.Text), Class: class}})
	}
	slices.SortStableFunc(all, func(a, b stamped) int { return cmp.Compare(a.at, b.at) })
	zero := int64(0)
	if len(phases) > 0 {
		zero = phases[0].phase.StartNS
	}
	for _, s := range all {
		s.line.At = fmt.Sprintf("%+.3f s", inSeconds(s.at-zero))
		out = append(out, s.line)
	}
	return out
}
