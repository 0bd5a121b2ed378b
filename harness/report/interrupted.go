// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
)

// hostShare is the part of a lateness from which on it is the host's: a tenth
// of it may have been waiting for a CPU of the host's without the figure being
// another.
const hostShare = 10

// starvedAfter is how many deadlines must have passed in a window for a witness
// that never ran in it to count as starved; a window can be shorter than one.
const starvedAfter = 10

// InterruptionOf is what a timeline tells of the interruption, nil if it was not
// measured, and what to know of that, a sentence each. accel is the machine's,
// virtual says that its time went by its instructions.
func InterruptionOf(t observe.Timeline, accel string, virtual bool) (*Interruption, []string) {
	m := &measurement{virtual: virtual, last: map[latenessKey]*observe.Lateness{}}
	for _, e := range t {
		switch {
		case e.Lateness != nil:
			m.take(e.Lateness)
		case e.Taken != nil:
			m.taken = append(m.taken, e.Taken)
			m.spans = append(m.spans, e.Taken.All())
		case e.Offset != nil && e.Clock == observe.Guest:
			m.clocks = append(m.clocks, moment{guest: e.T, host: e.Offset.Host, slack: e.Offset.Slack})
		}
	}
	if len(m.last) == 0 {
		return nil, nil
	}
	i := &Interruption{Virtual: virtual, PeriodNS: m.period, CostNS: m.cost}
	m.fill(&i.Windows, observe.ProbeWitness)
	if m.timer {
		i.Witness = &Windows{}
		m.fill(i.Witness, observe.TimerWitness)
	}
	if !virtual {
		i.Clock = m.pace()
		i.Noise = m.noise(accel, i)
	}
	return i, append(m.warnings, i.Clock.warnings()...)
}

// busyHost is the share of the time that a virtual CPU's thread may wait for a
// CPU of the host's without the figures being mostly about that.
const busyHost = 0.05

// noise says why figures hold only as orders and ratios.
func (m *measurement) noise(accel string, i *Interruption) string {
	var why []string
	if accel == "tcg" {
		why = append(why, "the guest is emulated by QEMU's TCG: its instructions take as long as the host happens to take, so figures compare within one run, and say nothing of how long they are on hardware")
	}
	threads := map[int]bool{}
	for _, t := range m.taken {
		threads[t.Thread] = true
	}
	var waited, open int64
	for _, name := range lateness.Windows {
		if w := i.Named(name); w != nil {
			waited += w.VoidNS
			open += (w.ToNS - w.FromNS) * int64(len(threads))
		}
	}
	if open > 0 && float64(waited) > busyHost*float64(open) {
		why = append(why, fmt.Sprintf("the host was busy with something else: the threads of the virtual CPUs waited for a CPU for %.0f %% of the time", 100*float64(waited)/float64(open)))
	}
	if asked, due := m.asked(); asked*10 < due*9 {
		why = append(why, fmt.Sprintf("the guest had no time for a deadline each %v, so that of %d only %d were asked for", time.Duration(m.period), due, asked))
	}
	return strings.Join(why, "; ")
}

// asked is how many deadlines the probe had, of how many there were.
func (m *measurement) asked() (asked, due int64) {
	for key, l := range m.last {
		if key.witness != observe.ProbeWitness || l.PeriodNS <= 0 {
			continue
		}
		// Where it never ran, a warning says so.
		if n := l.Histogram.Count(); n > 0 {
			asked, due = asked+n, due+l.OpenNS/l.PeriodNS
		}
	}
	return asked, due
}

type latenessKey struct {
	witness, window string
	cpu             int
}

// moment is both clocks at once, in ns.
type moment struct{ guest, host, slack int64 }

// measurement is what a timeline tells, while it is collected.
type measurement struct {
	virtual      bool
	last         map[latenessKey]*observe.Lateness // of about the same, the later holds
	cpus         int
	timer        bool
	period, cost int64
	clocks       []moment
	taken        []*observe.Taken
	spans        [][]observe.Span // of taken
	warnings     []string
}

// mostCPUs bounds what a guest can say of itself.
const mostCPUs = 4096

func (m *measurement) take(l *observe.Lateness) {
	if l.CPU < 0 || l.CPU >= mostCPUs || !slices.Contains(lateness.Windows, l.Window) {
		return // no agent says so
	}
	m.last[latenessKey{l.Witness, l.Window, l.CPU}] = l
	m.cpus = max(m.cpus, l.CPU+1)
	m.timer = m.timer || l.Witness == observe.TimerWitness
	m.period = max(m.period, l.PeriodNS)
	m.cost = max(m.cost, l.CostNS)
}

// fill computes what one witness saw.
func (m *measurement) fill(w *Windows, witness string) {
	for _, name := range lateness.Windows {
		var window *Window
		var all []lateness.Histogram
		longest := int64(0)
		for cpu := range m.cpus {
			l := m.last[latenessKey{witness, name, cpu}]
			if l == nil {
				continue
			}
			if window == nil {
				window = &Window{CPUs: []CPUWindow{}, FromNS: l.FromNS, ToNS: l.ToNS}
			}
			one, rest := m.judge(l)
			window.CPUs = append(window.CPUs, CPUWindow{CPU: cpu, Lateness: one})
			window.add(one)
			longest = max(longest, one.MaxNS)
			all = append(all, rest)
			m.tellOf(window, witness, l)
		}
		if window == nil {
			continue
		}
		window.Histogram = lateness.Merge(all...)
		window.VoidNS = m.waited(window.FromNS, window.ToNS)
		window.Lateness.fill(window.Histogram, longest)
		*w.place(name) = window
	}
}

// tellOf notes a witness that saw nothing, or not all.
func (m *measurement) tellOf(w *Window, witness string, l *observe.Lateness) {
	who := map[string]string{observe.ProbeWitness: "the probe", observe.TimerWitness: "the timer's interrupt"}[witness]
	where := fmt.Sprintf("on CPU %d in window %s (%v of guest time)", l.CPU, l.Window, time.Duration(l.OpenNS).Round(time.Millisecond))
	switch never := l.Histogram.Count() == 0; {
	case l.Error != "":
		m.warnings = append(m.warnings, fmt.Sprintf("%s gave up %s: %s; how long anybody was interrupted there is not known from then on", who, where, oneLine(l.Error)))
		if never {
			w.Starved = append(w.Starved, l.CPU)
		}
	case never && l.PeriodNS > 0 && l.OpenNS/l.PeriodNS >= starvedAfter:
		w.Starved = append(w.Starved, l.CPU)
		m.warnings = append(m.warnings, fmt.Sprintf("%s never ran %s: how long anybody was interrupted there is not known", who, where))
	case l.Stuck:
		m.warnings = append(m.warnings, fmt.Sprintf("%s had not come back %s: the longest interruption there is longer than is told", who, where))
	}
}

// judge is a CPU's part of a window without what may be the host's doing.
func (m *measurement) judge(l *observe.Lateness) (Lateness, lateness.Histogram) {
	out := Lateness{Missed: l.Missed}
	rest, longest := l.Histogram, l.LongestNS
	if spans := m.spansOf(l.CPU); len(spans) > 0 && l.PeriodNS > 0 {
		longest = l.UnkeptNS
		out.UnjudgedNS = l.UnkeptNS
		for _, late := range l.Latest {
			took := m.tookDuring(spans, late)
			if took == 0 || took*hostShare < late.NS {
				longest = max(longest, late.NS)
				continue
			}
			out.VoidNS += min(took, late.NS)
			// Those that passed behind it are the host's as well.
			for ns, first := late.NS, true; ns >= 0; ns, first = ns-l.PeriodNS, false {
				rest = rest.Add(ns, -1)
				out.VoidCount++
				if !first {
					out.Missed--
				}
			}
		}
	}
	out.Missed = max(out.Missed, 0)
	out.fill(rest, longest)
	return out, rest
}

// spansOf are the spans of the thread that runs a virtual CPU.
func (m *measurement) spansOf(cpu int) (spans []observe.Span) {
	for i, t := range m.taken {
		if slices.Contains(t.CPUs, cpu) {
			spans = append(spans, m.spans[i]...)
		}
	}
	return spans
}

// tookDuring is how long, at most, a thread waited while a witness was late.
// Spans are in the order of time and do not overlap.
func (m *measurement) tookDuring(spans []observe.Span, late lateness.Late) (took int64) {
	from, slack, ok := m.host(late.Deadline)
	to, slack2, ok2 := m.host(late.Deadline + late.NS)
	if !ok || !ok2 {
		return 0
	}
	from, to = from-slack, to+slack2
	first, _ := slices.BinarySearchFunc(spans, from, func(s observe.Span, at int64) int { return cmp.Compare(s.To, at) })
	for _, s := range spans[first:] {
		if s.From >= to {
			break
		}
		took += min(s.Wait, max(0, min(s.To, to)-max(s.From, from)))
	}
	return took
}

// waited is how long all threads waited between two moments of the guest's.
func (m *measurement) waited(from, to int64) (sum int64) {
	a, _, ok := m.host(from)
	b, _, ok2 := m.host(to)
	if !ok || !ok2 {
		return 0
	}
	for _, spans := range m.spans {
		for _, s := range spans {
			if s.To > a && s.From < b {
				sum += min(s.Wait, min(s.To, b)-max(s.From, a))
			}
		}
	}
	return sum
}

// host is a moment of the guest's by the host's clock, and how far it may be
// off: between two readings of both clocks, by their distance from it; outside
// of all, by the pace of the nearest two.
func (m *measurement) host(guest int64) (at, slack int64, ok bool) {
	if len(m.clocks) == 0 {
		return 0, 0, false
	}
	i, _ := slices.BinarySearchFunc(m.clocks, guest, func(c moment, at int64) int { return cmp.Compare(c.guest, at) })
	if len(m.clocks) == 1 {
		c := m.clocks[0]
		return c.host + guest - c.guest, c.slack/2 + 1, true
	}
	i = min(max(i, 1), len(m.clocks)-1)
	a, b := m.clocks[i-1], m.clocks[i]
	slack = max(a.slack, b.slack)/2 + 1
	if b.guest == a.guest {
		return a.host + guest - a.guest, slack, true
	}
	return a.host + int64(float64(guest-a.guest)*float64(b.host-a.host)/float64(b.guest-a.guest)), slack, true
}

// pace compares the clocks between the first reading of both and the last; nil
// if there are no two, or they are too near to tell anything.
func (m *measurement) pace() *ClockPace {
	if len(m.clocks) < 2 {
		return nil
	}
	a, b := m.clocks[0], m.clocks[len(m.clocks)-1]
	if b.host-a.host < int64(100*time.Millisecond) {
		return nil
	}
	rate := float64(b.guest-a.guest) / float64(b.host-a.host)
	return &ClockPace{Rate: math.Round(rate*1e6) / 1e6, SpanNS: b.host - a.host, SlackNS: (a.slack + b.slack) / 2}
}

// tolerance is how far apart two clocks' seconds may be: more than any clock is
// off that is set by another (500 in a million), less than any figure here shows.
const tolerance = 0.005

func (p *ClockPace) warnings() []string {
	if p == nil {
		return nil
	}
	off := math.Abs(p.Rate - 1)
	if off <= tolerance || off*float64(p.SpanNS) <= float64(p.SlackNS) {
		return nil
	}
	return []string{fmt.Sprintf("the guest's clock ran at %.3f of the host's pace: its times are not comparable with others'", p.Rate)}
}
