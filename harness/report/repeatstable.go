// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// WriteRepeats writes what repeated runs come to for a terminal: for each
// kernel the verdicts, who was in the way, and the figures; and under them the
// first run of each verdict that is not as expected.
func (r Report) WriteRepeats(w io.Writer) {
	w = Plain(w)
	for i, one := range r.Repeats {
		if i > 0 {
			fmt.Fprintln(w)
		}
		one.write(w)
	}
	told := map[[3]string]bool{}
	for _, run := range r.Runs {
		key := [3]string{run.Patch.Name, run.Kernel.Release, run.verdict()}
		if run.AsExpected() || told[key] {
			continue
		}
		told[key] = true
		fmt.Fprintf(w, "\n%s: %s: %s\n", oneLine(run.Kernel.Release), oneLine(run.verdict()), oneLine(run.Reason))
		run.writeWhere(w)
	}
}

func (r Repeats) write(w io.Writer) {
	fmt.Fprintf(w, "%s on %s: %d runs: %s\n", oneLine(r.Patch), oneLine(r.Release), r.Runs, oneLine(r.verdicts()))
	if r.Until != "" {
		if r.Found != "" {
			fmt.Fprintf(w, "  %s was found: %s\n", oneLine(r.Until), oneLine(r.Found))
		} else {
			fmt.Fprintf(w, "  %s did not come in %d of %d runs\n", r.Until, r.Runs, r.Planned)
		}
	}
	for _, b := range r.Blockers {
		fmt.Fprintf(w, "  in the way in %d: %s\n", b.Count, oneLine(InTheWay{b.Kind, b.Reason, b.Function}.String()))
	}
	if len(r.Figures) == 0 {
		return
	}
	t := NewTable(w)
	t.AppendHeader(table.Row{"figure", "runs", "median", fmt.Sprintf("%.0f %% sure", 100*Confidence), "least", "most"})
	for _, f := range r.Figures {
		sure := "too few runs"
		if f.Lo != nil {
			sure = InUnit(*f.Lo, f.Unit) + " … " + InUnit(*f.Hi, f.Unit)
		}
		t.AppendRow(table.Row{oneLine(f.Name), f.Runs, InUnit(f.Median, f.Unit), sure, InUnit(f.Min, f.Unit), InUnit(f.Max, f.Unit)})
	}
	t.Render()
}

// verdicts is "complete 18, stalled 2 (expected complete)".
func (r Repeats) verdicts() string {
	var parts []string
	for _, v := range r.Verdicts {
		text := fmt.Sprintf("%s %d", v.Verdict, v.Count)
		if !v.Expected {
			text += " (not as expected)"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "no verdict"
	}
	return strings.Join(parts, ", ")
}

// InUnit is a figure for people: "1.36 s", "12.4 ms", "1203/s", "2".
func InUnit(v float64, unit string) string {
	switch unit {
	case UnitNS:
		d := time.Duration(v)
		for _, to := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
			if d >= to || d <= -to {
				return fmt.Sprintf("%s %s", threeDigits(v/float64(to)), map[time.Duration]string{time.Second: "s", time.Millisecond: "ms", time.Microsecond: "µs"}[to])
			}
		}
		return fmt.Sprintf("%d ns", d)
	case UnitRate:
		return threeDigits(v) + "/s"
	}
	return threeDigits(v)
}

// threeDigits is a number with as much of it as means something.
func threeDigits(v float64) string {
	if v >= 1000 || v <= -1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
