// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// pageInterruption is the interruption of a run on the page.
type pageInterruption struct {
	Path         string
	Rows         []row
	Noise        string
	Windows      []pageWindow
	Distribution pagePlot
}

// pageWindow is what one witness saw in one window.
type pageWindow struct {
	Name, Witness string
	Figures       []figure
	CPUs          [][]figure
	Note          string
}

// windowLooks are the windows in their order.
var windowLooks = []struct {
	name string
	look look
}{
	{WindowBaseline, look{"green", medianLook.colour, 1.5, nil}},
	{WindowApply, look{"orange", mostLook.colour, 1.5, mostLook.dashes}},
	{WindowPatched, look{"blue", tasksLook.colour, 1.5, nil}},
	{WindowRevert, look{"purple", tailLook.colour, 1.5, nil}},
	{WindowAfter, look{"round", roundLook.colour, 1.5, roundLook.dashes}},
}

// The witnesses as people call them.
const (
	probeName   = "probe thread"
	witnessName = "timer interrupt"
)

func (i *Interruption) page(path string) (*pageInterruption, error) {
	if i == nil {
		return nil, nil
	}
	path += "/interruption"
	out := &pageInterruption{Path: path, Noise: oneLine(i.Noise), Rows: []row{
		{"a deadline each", []figure{short(path+"/period_ns", i.PeriodNS)}},
		{"CPU time of the probes", []figure{short(path+"/cost_ns", i.CostNS)}},
	}}
	if i.Clock != nil {
		out.Rows = append(out.Rows, row{"ns of the guest's clock in one of the host's", []figure{{path + "/clock/rate", i.Clock.Rate, fmt.Sprintf("%.3f", i.Clock.Rate)}}})
	}
	out.addWindows(path, probeName, &i.Windows)
	if i.Witness != nil {
		out.addWindows(path+"/witness", witnessName, i.Witness)
	}
	var err error
	out.Distribution, err = i.distribution().page()
	return out, err
}

func (p *pageInterruption) addWindows(path, witness string, all *Windows) {
	for _, n := range windowLooks {
		w := all.Named(n.name)
		if w == nil {
			continue
		}
		at := path + "/" + n.name
		one := pageWindow{Name: n.name, Witness: witness, Figures: w.Lateness.figures(at)}
		for j, c := range w.CPUs {
			cpu := fmt.Sprintf("%s/cpus/%d", at, j)
			one.CPUs = append(one.CPUs, append([]figure{number(cpu+"/cpu", c.CPU)}, c.Lateness.figures(cpu)...))
		}
		if len(w.CPUs) < 2 { // the same again
			one.CPUs = nil
		}
		if len(w.Starved) > 0 {
			one.Note = "never ran on CPU " + strings.Trim(strings.ReplaceAll(fmt.Sprint(w.Starved), " ", ", "), "[]")
		}
		p.Windows = append(p.Windows, one)
	}
}

func (l Lateness) figures(path string) []figure {
	return []figure{
		number(path+"/count", l.Count), short(path+"/p50_ns", l.P50NS), short(path+"/p99_ns", l.P99NS), short(path+"/p999_ns", l.P999NS),
		short(path+"/max_ns", l.MaxNS), number(path+"/missed", l.Missed), number(path+"/void_count", l.VoidCount), short(path+"/void_ns", l.VoidNS),
	}
}

// distribution is the plot of how many deadlines were that late or later, a
// panel for each witness.
func (i *Interruption) distribution() drawing {
	d := drawing{x: "lateness, ms", logX: true}
	for _, witness := range []struct {
		axis string
		all  *Windows
	}{{"thread, share", &i.Windows}, {"timer, share", i.Witness}} {
		p := panel{y: witness.axis, log: true}
		for _, n := range windowLooks {
			if w := witness.all.Named(n.name); w != nil {
				p.curves = append(p.curves, curve{what: n.name, look: n.look, points: w.exceeding()})
			}
		}
		for _, c := range p.curves {
			for _, at := range c.points {
				if d.to == 0 {
					d.from, d.to = at.X, at.X
				}
				d.from, d.to = min(d.from, at.X), max(d.to, at.X)
			}
		}
		d.panels = append(d.panels, p)
	}
	return d
}

// leastDrawn is where an axis of lateness begins, in ns: what is nearer to 0
// is drawn there.
const leastDrawn = 100

// exceeding is the share of deadlines that were that late or later, by
// lateness in ms.
func (w *Window) exceeding() (all points) {
	total := w.Histogram.Count()
	left := total
	for _, b := range w.Histogram {
		if total <= 0 || left <= 0 {
			break
		}
		at := plotter.XY{X: inMillis(max(b.NS, leastDrawn)), Y: float64(left) / float64(total)}
		left -= b.N
		if n := len(all); n > 0 && at.X <= all[n-1].X {
			continue
		}
		all = append(all, at)
	}
	return all
}
