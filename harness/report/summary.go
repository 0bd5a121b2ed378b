// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/switchyard-project/switchyard/kernels"
)

// WriteSummary writes what was merged as Markdown, for the page of a CI run:
// a table of cases by kernels, one of runs, and what failed.
func (m Merged) WriteSummary(w io.Writer) {
	w = Plain(w)
	passed, failed, skipped := 0, 0, 0
	for _, c := range m.Cases {
		switch c.Result {
		case Passed:
			passed++
		case Failed:
			failed++
		case Skipped:
			skipped++
		}
	}
	if len(m.Cases)+len(m.Missing) > 0 {
		fmt.Fprintf(w, "## Cases\n\n%d passed, %d failed, %d skipped, %d without a result\n\n", passed, failed, skipped, len(m.Missing))
		m.writeCases(w)
	}
	if len(m.Runs) > 0 {
		fmt.Fprint(w, "\n## Runs\n\n")
		m.writeRuns(w)
	}
	if len(m.Selftests) > 0 {
		fmt.Fprint(w, "\n## The kernels' own livepatch selftests\n\n")
		m.writeSelftests(w)
	}
	m.writeFailures(w)
}

// writeCases writes a row for each case and a column for each kernel.
func (m Merged) writeCases(w io.Writer) {
	const noKernel = "any"
	cells := map[[2]string][]Result{}
	var names, releases []string
	add := func(name, kernel string, result Result) {
		if kernel == "" {
			kernel = noKernel
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if !slices.Contains(releases, kernel) {
			releases = append(releases, kernel)
		}
		cells[[2]string{name, kernel}] = append(cells[[2]string{name, kernel}], result)
	}
	for _, c := range m.Cases {
		add(c.Name, c.Kernel, c.Result)
	}
	for _, p := range m.Missing {
		add(p.Test, p.Kernel, "")
	}
	slices.Sort(names)
	slices.SortFunc(releases, kernels.CompareVersions)
	writeCross(w, "case", names, releases, func(name, kernel string) string { return cell(cells[[2]string{name, kernel}]) })
}

// writeCross writes a row for each name and a column for each kernel.
func writeCross(w io.Writer, what string, names, releases []string, cell func(name, kernel string) string) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	header := table.Row{what}
	for _, k := range releases {
		header = append(header, k)
	}
	t.AppendHeader(header)
	for _, n := range names {
		row := table.Row{n}
		for _, k := range releases {
			row = append(row, cell(n, k))
		}
		t.AppendRow(row)
	}
	t.RenderMarkdown()
}

// cell is the worst of the results of one case on one kernel.
func cell(results []Result) string {
	for _, c := range []struct {
		result Result
		text   string
	}{{Failed, "**FAIL**"}, {"", "**no result**"}, {Skipped, "skip"}, {Passed, "pass"}} {
		if slices.Contains(results, c.result) {
			return c.text
		}
	}
	return ""
}

func (m Merged) writeRuns(w io.Writer) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row{"patch", "kernel", "verdict", "apply", "revert", "blockers"})
	for _, r := range m.Runs {
		verdict := verdict(r)
		if !r.AsExpected() {
			verdict = "**" + verdict + "**"
		}
		t.AppendRow(table.Row{r.Patch.Name, r.Kernel.Release, verdict, phase(r.Transition.Apply), phase(r.Transition.Revert), blockers(r.Blockers)})
	}
	t.RenderMarkdown()
}

// writeFailures says of each failure what it said, folded.
func (m Merged) writeFailures(w io.Writer) {
	begun := false
	fold := func(title string, lines []string) {
		if !begun {
			fmt.Fprint(w, "\n## What failed\n\n")
			begun = true
		}
		// A test's own text must not end the block.
		fmt.Fprintf(w, "<details><summary>%s</summary>\n\n", escape(title))
		for _, l := range lines {
			fmt.Fprintf(w, "    %s\n", oneLine(l))
		}
		fmt.Fprint(w, "\n</details>\n")
	}
	for _, c := range m.Cases {
		if c.Result == Failed {
			fold(strings.TrimSpace(c.Name+" "+c.Kernel), c.Output)
		}
	}
	for _, r := range m.Runs {
		if !r.AsExpected() {
			lines := slices.Concat(r.why(), r.inTheWay())
			for _, c := range r.again() {
				lines = append(lines, "again: "+c)
			}
			fold(fmt.Sprintf("%s %s: %s, expected %s", r.Patch.Name, r.Kernel.Release, r.verdict(), r.Expected), lines)
		}
	}
	for _, s := range m.Selftests {
		for _, script := range s.Scripts {
			if !script.AsExpected() {
				fold(fmt.Sprintf("%s %s: %s, expected %s", script.Name, s.Kernel.Release, script.Result, script.Expected), script.lines(s))
			}
		}
	}
	if len(m.Missing) > 0 {
		var lines []string
		for _, p := range m.Missing {
			lines = append(lines, p.Test+" "+p.Kernel)
		}
		fold(fmt.Sprintf("%d without a result: their job ended before them, or left nothing", len(lines)), lines)
	}
}

// escape is text for HTML within Markdown, on one line.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;").Replace(oneLine(text))
}
