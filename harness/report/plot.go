// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a plot: its letters can be read on a phone, where the page
// shrinks it to seven eighths.
const plotWidth, plotHeight vg.Length = 400, 220 // points

// Colours that can be told apart on a light page, on a dark one, and by most
// who see colours otherwise (after Okabe and Ito). Black is the page's own
// colour of text: see page.css.
var (
	curveColour  = color.NRGBA{0x00, 0x72, 0xb2, 0xff}
	roundColour  = color.NRGBA{0x99, 0x99, 0x99, 0xff}
	signalColour = color.NRGBA{0xd5, 0x5e, 0x00, 0xff}
	edgeColour   = color.NRGBA{0x00, 0x9e, 0x73, 0xff}
)

// mark is a moment on the x axis.
type mark struct {
	at     float64
	what   string // in the legend, once
	colour color.Color
	dashes []vg.Length
}

func (m mark) style() draw.LineStyle {
	return draw.LineStyle{Color: m.colour, Width: vg.Points(1), Dashes: m.dashes}
}

// Plot draws the mark over the whole height.
func (m mark) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	if at := x(m.at); c.ContainsX(at) {
		c.StrokeLine2(m.style(), at, c.Min.Y, at, c.Max.Y)
	}
}

// Thumbnail draws it in the legend.
func (m mark) Thumbnail(c *draw.Canvas) {
	y := c.Center().Y
	c.StrokeLine2(m.style(), c.Min.X, y, c.Max.X, y)
}

// points are those of a curve.
type points = plotter.XYs

// drawing is a plot to be.
type drawing struct {
	x, y  string
	curve points
	steps bool // the value holds until the next point
	marks []mark
	width float64 // of the x axis
}

// svg draws it, for a page of HTML. It is empty if there are no points.
func (d drawing) svg() (template.HTML, error) {
	if len(d.curve) == 0 {
		return "", nil
	}
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = d.x, d.y
	for _, style := range []*font.Font{&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		*style = font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(11)}
	}
	line, err := plotter.NewLine(d.curve)
	if err != nil {
		return "", fmt.Errorf("plot of %s: %w", d.y, err)
	}
	line.Color, line.Width = curveColour, vg.Points(1.5)
	if d.steps {
		line.StepStyle = plotter.PostStep
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	p.Legend.Padding, p.Legend.XOffs = vg.Points(2), vg.Points(-4)
	seen := map[string]bool{}
	for _, m := range d.marks {
		p.Add(m)
		if !seen[m.what] {
			p.Legend.Add(m.what, m)
			seen[m.what] = true
		}
	}
	p.Add(line)
	p.Legend.Top = true
	p.BackgroundColor = nil
	p.X.Min, p.X.Max = 0, max(d.width, d.curve[len(d.curve)-1].X)
	p.Y.Min = 0
	p.Y.Max *= 1.05 // the top of a curve is not the frame's
	if p.Y.Max <= 0 {
		p.Y.Max = 1
	}
	if p.X.Max <= 0 {
		p.X.Max = 1e-3
	}
	c := vgsvg.New(plotWidth, plotHeight)
	p.Draw(draw.New(c))
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return "", fmt.Errorf("plot of %s: %w", d.y, err)
	}
	// What comes before the element is for a file of its own. The library
	// escapes the texts that it draws.
	svg := out.Bytes()[max(0, bytes.Index(out.Bytes(), []byte("<svg"))):]
	return template.HTML(svg), nil
}

// ticks are the library's with numbers as people write them: 75, not 75.00.
type ticks struct{ plot.DefaultTicks }

// Ticks are those between two values.
func (t ticks) Ticks(from, to float64) []plot.Tick {
	all := t.DefaultTicks.Ticks(from, to)
	for i := range all {
		if all[i].Label != "" {
			all[i].Label = strconv.FormatFloat(math.Round(all[i].Value*1e6)/1e6, 'g', -1, 64)
		}
	}
	return all
}

// convergence is the plot of the tasks left in a transition.
func (p *Phase) convergence() drawing {
	d := drawing{x: "guest time since its start, s", y: "tasks left", steps: true, curve: p.curve(), width: inSeconds(p.GuestNS)}
	for _, t := range p.RoundsNS {
		d.marks = append(d.marks, mark{inSeconds(t), "round", roundColour, []vg.Length{1, 3}})
	}
	for _, t := range p.SignalsNS {
		d.marks = append(d.marks, mark{inSeconds(t), "signal", signalColour, []vg.Length{6, 2}})
	}
	if p.TurnedNS != 0 {
		d.marks = append(d.marks, mark{inSeconds(p.TurnedNS), "turned round", edgeColour, nil})
	}
	return d
}

// curve are the samples that differ from the one before, the last one and,
// once it is done, the end: a curve with all of its steps and nothing else.
func (p *Phase) curve() (out points) {
	for i, s := range p.Samples {
		if i == 0 || i == len(p.Samples)-1 || s.TasksLeft != p.Samples[i-1].TasksLeft {
			out = append(out, plotter.XY{X: inSeconds(s.GuestNS), Y: float64(s.TasksLeft)})
		}
	}
	if p.Done && len(out) > 0 {
		out = append(out, plotter.XY{X: inSeconds(p.GuestNS), Y: 0})
	}
	return out
}

// mostRates bounds the points of a load's plot.
const mostRates = 400

// rates is the plot of a load's rate, with the edges of transitions. Its time
// is since the first reading.
func (l *Load) rates(phases []*Phase) drawing {
	d := drawing{x: "guest time since the load began, s", y: "operations a second", curve: l.curve()}
	if len(l.Readings) == 0 {
		return d
	}
	zero := l.Readings[0].GuestNS
	for _, p := range phases {
		begins := p.StartNS + p.TurnedNS
		d.marks = append(d.marks, mark{inSeconds(begins - zero), p.Way + " begins", edgeColour, []vg.Length{4, 2}})
		if p.Done {
			d.marks = append(d.marks, mark{inSeconds(p.StartNS + p.GuestNS - zero), p.Way + " ends", edgeColour, nil})
		}
	}
	return d
}

// curve are the rates between readings, each at the later one.
func (l *Load) curve() (out points) {
	step := max(1, int(math.Ceil(float64(len(l.Readings))/mostRates)))
	for i := step; i < len(l.Readings); i += step {
		a, b := l.Readings[i-step], l.Readings[i]
		if b.GuestNS <= a.GuestNS || b.Ops < a.Ops {
			continue
		}
		out = append(out, plotter.XY{X: inSeconds(b.GuestNS - l.Readings[0].GuestNS), Y: float64(b.Ops-a.Ops) / inSeconds(b.GuestNS-a.GuestNS)})
	}
	return out
}

func inSeconds(ns int64) float64 { return float64(ns) / 1e9 }
