// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// WriteSearches writes what searches found for a terminal: for each kernel
// the verdicts, the rarest first, and under them why and how to see each that
// is not as expected again.
func (r Report) WriteSearches(w io.Writer) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.AppendHeader(table.Row{"kernel", "verdict", "seeds", "share", "for example"})
	for _, s := range r.Searches {
		for _, f := range s.Verdicts {
			t.AppendRow(table.Row{s.Release, f.Verdict, f.Count, fmt.Sprintf("%.1f %%", 100*float64(f.Count)/float64(max(s.Seeds, 1))), seeds(f)})
		}
	}
	t.Render()
	for _, s := range r.Searches {
		fmt.Fprintf(w, "\n%s: %d seeds, %d different timelines\n", s.Release, s.Seeds, s.Timelines)
		for _, f := range s.Verdicts {
			if f.Expected {
				continue
			}
			fmt.Fprintf(w, "  %s: %s\n", f.Verdict, oneLine(f.Reason))
			if dir := r.evidence(s.Release, f.Verdict); dir != "" {
				fmt.Fprintf(w, "    evidence: %s\n", dir)
			}
			if f.Repro != "" {
				fmt.Fprintf(w, "    again:    %s\n", f.Repro)
			}
		}
	}
}

// evidence is the folder of a search's example.
func (r Report) evidence(release, verdict string) string {
	for _, run := range r.Runs {
		if run.Kernel.Release == release && run.Verdict == verdict {
			return run.Artifacts.Dir
		}
	}
	return ""
}

// seeds is "3, 17, 40, …".
func seeds(f Found) string {
	const most = 5
	var parts []string
	for _, s := range f.Seeds[:min(len(f.Seeds), most)] {
		parts = append(parts, fmt.Sprint(s))
	}
	if f.Count > len(parts) {
		parts = append(parts, "…")
	}
	return strings.Join(parts, ", ")
}
