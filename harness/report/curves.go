// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"

	"gonum.org/v1/plot/plotter"
)

// convergence is the plot of the tasks left in a transition.
func (p *Phase) convergence() drawing {
	c := p.curve()
	d := drawing{x: "guest time since its start, s", panels: []panel{{y: "tasks left", curves: []curve{c}}}, to: inSeconds(p.GuestNS)}
	if n := len(c.points); n > 0 {
		d.to = max(d.to, c.points[n-1].X)
	}
	for _, t := range p.RoundsNS {
		d.marks = append(d.marks, mark{inSeconds(t), "round", roundLook})
	}
	for _, t := range p.SignalsNS {
		d.marks = append(d.marks, mark{inSeconds(t), "signal", signalLook})
	}
	if p.TurnedNS != 0 {
		d.marks = append(d.marks, mark{inSeconds(p.TurnedNS), "turned round", endLook})
	}
	return d
}

// curve are the samples that differ from the one before, the last one and,
// once it is done, the end: a curve with all of its steps and nothing else.
func (p *Phase) curve() curve {
	c := curve{what: "tasks left", look: tasksLook, steps: true}
	for i, s := range p.Samples {
		if i == 0 || i == len(p.Samples)-1 || s.TasksLeft != p.Samples[i-1].TasksLeft {
			c.points = append(c.points, plotter.XY{X: inSeconds(s.GuestNS), Y: float64(s.TasksLeft)})
		}
	}
	if p.Done && len(c.points) > 0 {
		c.points = append(c.points, plotter.XY{X: inSeconds(p.GuestNS), Y: 0})
	}
	return c
}

// mostReadings bounds the points of a load's curves.
const mostReadings = 400

// across is the plot of a load across the transitions: the tasks left, its
// rate and the latency of its operations, by the time since the first
// transition began, or since the load did if there was none.
func (l *Load) across(phases []*Phase) drawing {
	if len(l.Readings) == 0 {
		return drawing{}
	}
	zero, d := l.Readings[0].GuestNS, drawing{x: "guest time since the load began, s"}
	if len(phases) > 0 {
		zero, d.x = phases[0].StartNS, "guest time since the first transition began, s"
	}
	d.from, d.to = inSeconds(l.Readings[0].GuestNS-zero), inSeconds(l.Readings[len(l.Readings)-1].GuestNS-zero)
	left := curve{what: "tasks left", look: tasksLook, steps: true}
	for _, p := range phases {
		start := inSeconds(p.StartNS - zero)
		begins, ends := start+inSeconds(p.TurnedNS), start+inSeconds(p.GuestNS)
		d.from, d.to = min(d.from, start), max(d.to, ends)
		d.marks = append(d.marks, mark{begins, p.Way + " begins", beginLook})
		if p.Done {
			d.marks = append(d.marks, mark{ends, p.Way + " ends", endLook})
		}
		for _, at := range p.curve().points {
			at.X += start
			if at.X >= begins { // what a reversal reverses has a curve of its own
				left.points = append(left.points, at)
			}
		}
	}
	rate, latency := l.curves(zero)
	for _, at := range l.wrong() {
		d.marks = append(d.marks, mark{inSeconds(at - zero), "wrong results", wrongLook})
	}
	d.panels = []panel{{y: "tasks left", curves: []curve{left}}, {y: "operations/s", curves: []curve{rate}}, {y: "latency, ms", curves: latency, log: true}}
	return d
}

// curves are the rates between readings, each at the later one, and the
// latencies; of several readings drawn as one, the worst.
func (l *Load) curves(zero int64) (rate curve, latency []curve) {
	rate = curve{what: "operations a second", look: rateLook}
	p50, p99, most := curve{what: "half at most", look: medianLook}, curve{what: "99 of 100 at most", look: tailLook}, curve{what: "longest", look: mostLook}
	step := max(1, int(math.Ceil(float64(len(l.Readings))/mostReadings)))
	for i := step; i < len(l.Readings); i += step {
		a, b := l.Readings[i-step], l.Readings[i]
		if b.GuestNS <= a.GuestNS || b.Ops < a.Ops {
			continue
		}
		at := inSeconds(b.GuestNS - zero)
		rate.points = append(rate.points, plotter.XY{X: at, Y: float64(b.Ops-a.Ops) / inSeconds(b.GuestNS-a.GuestNS)})
		var worst Reading
		for _, r := range l.Readings[i-step+1 : i+1] {
			worst.P50NS, worst.P99NS, worst.MaxNS = max(worst.P50NS, r.P50NS), max(worst.P99NS, r.P99NS), max(worst.MaxNS, r.MaxNS)
		}
		for c, ns := range map[*curve]int64{&p50: worst.P50NS, &p99: worst.P99NS, &most: worst.MaxNS} {
			if ns > 0 { // none ended otherwise
				c.points = append(c.points, plotter.XY{X: at, Y: inMillis(ns)})
			}
		}
	}
	return rate, []curve{p50, p99, most}
}

// wrong are the moments of the readings that found more wrong results than
// those before, at most a hundred.
func (l *Load) wrong() (at []int64) {
	var before uint64
	for _, r := range l.Readings {
		if r.Errors > before && len(at) < 100 {
			at = append(at, r.GuestNS)
		}
		before = r.Errors
	}
	return at
}
