// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Tried is one seed that was tried and what came of it.
type Tried struct {
	Run            string `json:"run"` // the folder that holds the seeds'
	Release        string `json:"release"`
	Seed           int64  `json:"seed"`
	FirstSeed      int64  `json:"first_seed"` // of the search
	Verdict        string `json:"verdict"`
	Expected       string `json:"expected"`
	Reason         string `json:"reason,omitempty"`
	Repro          string `json:"repro,omitempty"`
	TimelineSHA256 string `json:"timeline_sha256"`
}

// exampleSeeds is how many seeds are told of each verdict.
const exampleSeeds = 10

// SeedFolder is the folder of one seed of a search.
func SeedFolder(seed int64) string { return fmt.Sprintf("seed-%d", seed) }

// SearchOf is what the seeds tried on one kernel came to.
func SearchOf(tried []Tried) Search {
	out := Search{Seeds: len(tried), Verdicts: []Found{}}
	timelines, at := map[string]bool{}, map[string]int{}
	tried = slices.Clone(tried)
	slices.SortStableFunc(tried, func(a, b Tried) int { return cmp.Compare(a.Seed, b.Seed) })
	for _, t := range tried {
		out.Release, out.FirstSeed = t.Release, t.FirstSeed
		if t.TimelineSHA256 != "" {
			timelines[t.TimelineSHA256] = true
		}
		i, known := at[t.Verdict]
		if !known {
			i = len(out.Verdicts)
			at[t.Verdict] = i
			out.Verdicts = append(out.Verdicts, Found{Verdict: t.Verdict, Expected: t.Verdict == t.Expected, Reason: t.Reason, Repro: t.Repro})
		}
		f := &out.Verdicts[i]
		f.Count++
		if len(f.Seeds) < exampleSeeds {
			f.Seeds = append(f.Seeds, t.Seed)
		}
	}
	out.Timelines = len(timelines)
	slices.SortFunc(out.Verdicts, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Count, b.Count), cmp.Compare(a.Verdict, b.Verdict))
	})
	return out
}

// WriteSearches writes what searches found for a terminal: for each kernel
// the verdicts, the rarest first, and under them why and how to see each that
// is not as expected again.
func (r Report) WriteSearches(w io.Writer) {
	w = Plain(w)
	t := NewTable(w)
	t.AppendHeader(table.Row{"kernel", "verdict", "seeds", "share", "for example"})
	for _, s := range r.Searches {
		for _, f := range s.Verdicts {
			t.AppendRow(table.Row{oneLine(s.Release), oneLine(f.Verdict), f.Count, fmt.Sprintf("%.1f %%", 100*float64(f.Count)/float64(max(s.Seeds, 1))), seeds(f)})
		}
	}
	t.Render()
	for _, s := range r.Searches {
		fmt.Fprintf(w, "\n%s: %d seeds, %d different timelines\n", oneLine(s.Release), s.Seeds, s.Timelines)
		for _, f := range s.Verdicts {
			if f.Expected {
				continue
			}
			fmt.Fprintf(w, "  %s: %s\n", oneLine(f.Verdict), oneLine(f.Reason))
			if dir := r.evidence(s.Release, f.Verdict); dir != "" {
				fmt.Fprintf(w, "    evidence: %s\n", oneLine(dir))
			}
			if f.Repro != "" {
				fmt.Fprintf(w, "    again:    %s\n", oneLine(f.Repro))
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
