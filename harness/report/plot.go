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
// shrinks it to seven eighths. Plots over each other are lower.
const (
	plotWidth   vg.Length = 400 // points
	plotHeight  vg.Length = 220
	panelHeight vg.Length = 130
)

// look is how a curve or a mark is drawn; class is its line in the key, which
// page.css draws the same way.
type look struct {
	class  string
	colour color.NRGBA
	width  vg.Length
	dashes []vg.Length
}

// Colours that can be told apart on a light page, on a dark one, and by most
// who see colours otherwise (after Okabe and Ito). Black is the page's own
// colour of text: see page.css.
var (
	tasksLook  = look{"blue", color.NRGBA{0x00, 0x72, 0xb2, 0xff}, 1.5, nil}
	rateLook   = look{"ochre", color.NRGBA{0xb0, 0x78, 0x00, 0xff}, 1.5, nil}
	medianLook = look{"green", color.NRGBA{0x00, 0x9e, 0x73, 0xff}, 1.5, nil}
	tailLook   = look{"purple", color.NRGBA{0xcc, 0x79, 0xa7, 0xff}, 1.5, nil}
	mostLook   = look{"orange", color.NRGBA{0xd5, 0x5e, 0x00, 0xff}, 1, []vg.Length{4, 2}}
	roundLook  = look{"round", color.NRGBA{0x99, 0x99, 0x99, 0xff}, 1, []vg.Length{1, 3}}
	signalLook = look{"signal", color.NRGBA{0xd5, 0x5e, 0x00, 0xff}, 1, []vg.Length{6, 2}}
	beginLook  = look{"begin", color.NRGBA{A: 0xff}, .7, []vg.Length{4, 2}}
	endLook    = look{"end", color.NRGBA{A: 0xff}, .7, nil}
	wrongLook  = look{"wrong", color.NRGBA{0xe0, 0x00, 0x3c, 0xff}, 2, nil}
)

func (l look) style() draw.LineStyle {
	return draw.LineStyle{Color: l.colour, Width: l.width, Dashes: l.dashes}
}

// mark is a moment on the x axis.
type mark struct {
	at   float64
	what string
	look look
}

// Plot draws the mark over the whole height.
func (m mark) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	if at := x(m.at); c.ContainsX(at) {
		c.StrokeLine2(m.look.style(), at, c.Min.Y, at, c.Max.Y)
	}
}

// points are those of a curve.
type points = plotter.XYs

// curve is one line of a plot.
type curve struct {
	what   string
	look   look
	points points
	steps  bool // a value holds until the next point
}

// panel is one of the plots of a drawing.
type panel struct {
	y      string
	curves []curve
	log    bool // the y axis is logarithmic; only what is above 0 is drawn
}

// drawing is plots over each other with one x axis, and their key.
type drawing struct {
	x        string
	from, to float64
	logX     bool // from is above 0
	panels   []panel
	marks    []mark
}

// keyLine is a line of a drawing's key.
type keyLine struct{ Class, Text string }

// key says what is what, each once. One curve alone needs none: its axis tells.
func (d drawing) key() (lines []keyLine) {
	seen := map[string]bool{}
	add := func(what string, l look) {
		if !seen[what] {
			seen[what] = true
			lines = append(lines, keyLine{l.class, what})
		}
	}
	for _, p := range d.panels {
		for _, c := range p.curves {
			if len(p.curves) > 1 && len(c.points) > 0 {
				add(c.what, c.look)
			}
		}
	}
	for _, m := range d.marks {
		if m.at >= d.from && m.at <= d.to {
			add(m.what, m.look)
		}
	}
	return lines
}

// pagePlot is a drawing on the page.
type pagePlot struct {
	SVG template.HTML
	Key []keyLine
}

// page draws it. It is empty if there are no points.
func (d drawing) page() (pagePlot, error) {
	var rows [][]*plot.Plot
	for _, p := range d.panels {
		one, err := d.plot(p)
		if err != nil {
			return pagePlot{}, err
		}
		if one != nil {
			rows = append(rows, []*plot.Plot{one})
		}
	}
	if len(rows) == 0 {
		return pagePlot{}, nil
	}
	// One axis for all: the lowest says what it is.
	rows[len(rows)-1][0].X.Label.Text = d.x
	height := plotHeight
	if n := len(rows); n > 1 {
		height = vg.Length(n) * panelHeight
	}
	c := vgsvg.New(plotWidth, height)
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadY: 8, PadTop: 4}
	for i, row := range plot.Align(rows, tiles, draw.New(c)) {
		rows[i][0].Draw(row[0])
	}
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return pagePlot{}, fmt.Errorf("plot of %s: %w", d.panels[0].y, err)
	}
	// What comes before the element is for a file of its own. The library
	// escapes the texts that it draws.
	svg := out.Bytes()[max(0, bytes.Index(out.Bytes(), []byte("<svg"))):]
	return pagePlot{template.HTML(svg), d.key()}, nil
}

// plot is a panel for the library; nil if there are no points.
func (d drawing) plot(in panel) (*plot.Plot, error) {
	p := plot.New()
	p.Y.Label.Text = in.y
	for _, style := range []*font.Font{&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font} {
		*style = font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(11)}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	for _, m := range d.marks {
		p.Add(m)
	}
	empty := true
	for _, c := range in.curves {
		shown := c.points
		if in.log {
			shown = above(shown)
		}
		if len(shown) == 0 {
			continue
		}
		line, err := plotter.NewLine(shown)
		if err != nil {
			return nil, fmt.Errorf("plot of %s: %w", in.y, err)
		}
		line.LineStyle = c.look.style()
		if c.steps {
			line.StepStyle = plotter.PostStep
		}
		p.Add(line)
		empty = false
	}
	if empty {
		return nil, nil
	}
	p.BackgroundColor = nil
	p.X.Min, p.X.Max = d.from, d.to
	if p.X.Max <= p.X.Min {
		p.X.Max = p.X.Min + max(1e-3, math.Abs(p.X.Min)*1e-3)
	}
	if d.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
		p.X.Min, p.X.Max = wholeDecades(p.X.Min, p.X.Max)
	}
	if in.log {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, decades{}
		p.Y.Min, p.Y.Max = wholeDecades(p.Y.Min, p.Y.Max)
		return p, nil
	}
	p.Y.Min = 0
	p.Y.Max *= 1.05 // the top of a curve is not the frame's
	if p.Y.Max <= 0 {
		p.Y.Max = 1
	}
	return p, nil
}

// wholeDecades are the powers of ten around two values above 0.
func wholeDecades(from, to float64) (lo, hi float64) {
	lo = math.Pow10(int(math.Floor(math.Log10(from))))
	return lo, max(math.Pow10(int(math.Ceil(math.Log10(to)))), 10*lo)
}

// above are the points that a logarithmic axis has.
func above(all points) (out points) {
	for _, p := range all {
		if p.Y > 0 {
			out = append(out, p)
		}
	}
	return out
}

// ticks are the library's with numbers as people write them: 75, not 75.00.
type ticks struct{ plot.DefaultTicks }

// Ticks are those between two values.
func (t ticks) Ticks(from, to float64) []plot.Tick {
	all := t.DefaultTicks.Ticks(from, to)
	for i := range all {
		if all[i].Label != "" {
			all[i].Label = plain(math.Round(all[i].Value*1e6) / 1e6)
		}
	}
	return all
}

// decades are the powers of ten of a logarithmic axis, not more labels than
// fit.
type decades struct{}

// Ticks are those between two values above 0.
func (decades) Ticks(from, to float64) (all []plot.Tick) {
	first, last := int(math.Floor(math.Log10(from))), int(math.Ceil(math.Log10(to)))
	every := 1 + (last-first)/5
	for e := first; e <= last; e++ {
		tick := plot.Tick{Value: math.Pow10(e)}
		if (e-first)%every == 0 {
			tick.Label = plain(tick.Value)
		}
		all = append(all, tick)
	}
	return all
}

func plain(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func inSeconds(ns int64) float64 { return float64(ns) / 1e9 }

func inMillis(ns int64) float64 { return float64(ns) / 1e6 }
