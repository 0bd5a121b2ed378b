// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/switchyard-project/switchyard/harness/report"
)

// WriteJSON writes the result, indented.
func (r Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the result for a terminal: the differences that are more
// than noise, and only these; and where there are none, what would have been
// seen.
func (r Result) WriteText(w io.Writer) {
	w = report.Plain(w)
	for i, p := range r.Pairs {
		if i > 0 {
			fmt.Fprintln(w)
		}
		p.write(w)
	}
}

func (p Pair) write(w io.Writer) {
	fmt.Fprintf(w, "A: %s\nB: %s\n", p.A, p.B)
	for _, text := range p.Warnings {
		fmt.Fprintf(w, "%s\n", report.OneLine(text))
	}
	if len(p.Differences) > 0 {
		fmt.Fprintln(w)
		p.writeDifferences(w)
	}
	switch {
	case p.Identical:
		fmt.Fprintln(w, "\nEach run of A is the same to the byte as one of B.")
	case p.Outcome == Unknown && len(p.Differences) > 0: // of the other direction
		fmt.Fprintf(w, "\nMore cannot be told: %s.\n", report.OneLine(p.Reason))
	case p.Outcome == Unknown:
		fmt.Fprintf(w, "\nIt cannot be told whether they differ: %s.\n", report.OneLine(p.Reason))
	case len(p.Differences) == 0:
		fmt.Fprintf(w, "\nNo difference that is more than noise, in %s looked at.\n", figuresOf(len(p.Looked)))
		p.writeSeen(w)
	}
}

func (s Side) String() string {
	text := fmt.Sprintf("%s on %s, %d runs", s.Patch, s.Release, s.Runs)
	if s.Broken > 0 {
		text += fmt.Sprintf(" (and %d that came to no verdict)", s.Broken)
	}
	return report.OneLine(text + " (" + s.Name + ")")
}

func figuresOf(n int) string {
	if n == 1 {
		return "the 1 figure"
	}
	return fmt.Sprintf("the %d figures", n)
}

func (p Pair) writeDifferences(w io.Writer) {
	t := report.NewTable(w)
	t.AppendHeader(table.Row{"figure", "A", "B", "change", "", "B higher", "p"})
	for _, d := range p.Differences {
		t.AppendRow(table.Row{report.OneLine(d.Figure), d.A.text(d.Unit), d.B.text(d.Unit), d.change(), d.Direction, fmt.Sprintf("in %.0f %%", 100*d.Higher), probability(d.Adjusted)})
	}
	t.Render()
	fmt.Fprintf(w, "medians, with what they lie between at %.0f %%; B higher: in which part of all pairs of runs;\np: of such a difference in any of %s by chance\n", 100*report.Confidence, figuresOf(len(p.Looked)))
}

// text is "12.4 ms (11.9 … 13 ms)", or "18 of 20".
func (c Centre) text(unit string) string {
	if c.Count != nil {
		return fmt.Sprintf("%d of %d", *c.Count, c.Runs)
	}
	text := report.InUnit(c.Median, unit)
	if c.Lo != nil && *c.Lo != *c.Hi {
		text += fmt.Sprintf(" (%s … %s)", report.InUnit(*c.Lo, unit), report.InUnit(*c.Hi, unit))
	}
	return text
}

func (d Difference) change() string {
	switch {
	case d.Change == nil:
		return report.InUnit(d.B.Median, d.Unit) + " more"
	case d.Unit == UnitShare:
		return fmt.Sprintf("%+.0f points", 100**d.Change)
	case math.Abs(*d.Change) >= 9:
		return fmt.Sprintf("× %.0f", *d.Change+1)
	}
	return fmt.Sprintf("%+.0f %%", 100**d.Change)
}

func probability(p float64) string {
	if p < 0.0001 {
		return "< 0.0001"
	}
	return fmt.Sprintf("%.2g", p)
}

// writeSeen says how large a difference would have been seen.
func (p Pair) writeSeen(w io.Writer) {
	fmt.Fprintf(w, "Four times in five, one of this size would have been seen:\n")
	t := report.NewTable(w)
	verdict := false
	for _, s := range p.Seen {
		name, size := s.Figure, s.size(p.B.Runs)
		if s.Unit == UnitShare && !strings.HasPrefix(name, "verdict.") {
			continue // they come with the verdict
		}
		if s.Unit == UnitShare {
			if verdict {
				continue
			}
			name, verdict = "verdict", true
		}
		t.AppendRow(table.Row{report.OneLine(name), size})
	}
	t.Render()
}

func (s Seen) size(runs int) string {
	switch {
	case s.Runs != nil:
		return fmt.Sprintf("one that A never has, in %d of %d runs", *s.Runs, runs)
	case s.Shift == nil:
		return "no size: too few runs"
	case *s.Shift == 0:
		return "any"
	}
	return report.InUnit(*s.Shift, s.Unit)
}
