// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
)

// pageRepeats is what many runs came to, on the page.
type pageRepeats struct {
	Patch, Release string
	Rows           []row
	Verdicts       []row
	Blockers       [][]figure
	Figures        []pageFigure
}

type pageFigure struct {
	Name   figure
	Values []figure
}

func (r Repeats) page(path string) pageRepeats {
	out := pageRepeats{Patch: oneLine(r.Patch), Release: oneLine(r.Release), Rows: []row{
		{"runs that came to a verdict", []figure{number(path+"/runs", r.Runs)}},
		{"runs that were planned", []figure{number(path+"/planned", r.Planned)}},
	}}
	if r.Until != "" {
		out.Rows = append(out.Rows, row{"sought", []figure{text(path+"/until", r.Until)}}, row{"found in", []figure{text(path+"/found", r.Found)}})
	}
	for i, v := range r.Verdicts {
		at := fmt.Sprintf("%s/verdicts/%d", path, i)
		out.Verdicts = append(out.Verdicts, row{"", []figure{text(at+"/verdict", v.Verdict), number(at+"/count", v.Count)}})
	}
	for i, b := range r.Blockers {
		at := fmt.Sprintf("%s/blockers/%d", path, i)
		out.Blockers = append(out.Blockers, []figure{text(at+"/kind", b.Kind), text(at+"/reason", b.Reason), text(at+"/function", b.Function), number(at+"/count", b.Count)})
	}
	for i, f := range r.Figures {
		out.Figures = append(out.Figures, f.page(fmt.Sprintf("%s/figures/%d", path, i)))
	}
	return out
}

func (f Figure) page(path string) pageFigure {
	value := func(name string, v float64) figure {
		if f.Unit == UnitNS {
			return figure{path + name, v, precise(int64(v))}
		}
		text := strconv.FormatFloat(v, 'f', 1, 64)
		if v == float64(int64(v)) {
			text = strconv.FormatInt(int64(v), 10)
		}
		if f.Unit != UnitCount {
			text += " " + oneLine(f.Unit)
		}
		return figure{path + name, v, text}
	}
	bound := func(name string, v *float64) figure {
		if v == nil {
			return figure{path + name, "null", "too few runs"}
		}
		return value(name, *v)
	}
	return pageFigure{text(path+"/name", f.Name), []figure{
		number(path+"/runs", f.Runs), value("/median", f.Median), bound("/lo", f.Lo), bound("/hi", f.Hi), value("/min", f.Min), value("/max", f.Max),
	}}
}
