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

// mostTold bounds lists for a terminal and for CI; report.json has all.
const mostTold = 10

// interrupted is "45.0 ms, 1.20 ms without": the longest interruption with the
// patch coming, there and going, and without it.
func interrupted(i *Interruption) string {
	if i == nil {
		return "-"
	}
	var with, without int64
	for _, w := range []*Window{i.Apply, i.Patched, i.Revert} {
		if w != nil {
			with = max(with, w.MaxNS)
		}
	}
	for _, w := range []*Window{i.Baseline, i.After} {
		if w != nil {
			without = max(without, w.MaxNS)
		}
	}
	return precise(with) + ", " + precise(without) + " without"
}

// writeInterruption writes the longest and, in brackets, what 99 of 100 were
// at most, for each witness and window.
func (run Run) writeInterruption(w io.Writer) {
	i := run.Interruption
	if i == nil {
		return
	}
	fmt.Fprintf(w, "\n%s: interruption, the longest (99 of 100 at most)\n", run.Kernel.Release)
	t := NewTable(w)
	header := table.Row{""}
	for _, n := range windowLooks {
		header = append(header, n.name)
	}
	t.AppendHeader(header)
	for _, witness := range []struct {
		name string
		all  *Windows
	}{{probeName, &i.Windows}, {witnessName, i.Witness}} {
		if witness.all == nil {
			continue
		}
		cells := table.Row{witness.name}
		for _, n := range windowLooks {
			cell := "-"
			if w := witness.all.Named(n.name); w != nil && w.Count > 0 {
				cell = fmt.Sprintf("%s (%s)", precise(w.MaxNS), precise(w.P99NS))
			}
			cells = append(cells, cell)
		}
		t.AppendRow(cells)
	}
	t.Render()
	if i.Noise != "" {
		fmt.Fprintf(w, "  %s\n", oneLine(i.Noise))
	}
}

// writeLatency writes how long the loads' operations took around the
// transition, for loads that were measured.
func (run Run) writeLatency(w io.Writer) {
	t := NewTable(w)
	t.AppendHeader(table.Row{"load, 99 of 100 operations at most (the longest)", "before", "during", "after"})
	for _, l := range run.Load {
		if l.Latency == nil {
			continue
		}
		cells := table.Row{oneLine(l.Name)}
		for _, part := range []*Latency{l.Latency.Before, l.Latency.During, l.Latency.After} {
			cell := "-"
			if part != nil {
				cell = fmt.Sprintf("%s (%s)", precise(part.P99NS), precise(part.MaxNS))
			}
			cells = append(cells, cell)
		}
		t.AppendRow(cells)
	}
	if t.Length() == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s: how long the loads' operations took\n", run.Kernel.Release)
	t.Render()
}

// writeCalls writes a line for each patched function: how often it was called,
// and by whom most.
func (run Run) writeCalls(w io.Writer) {
	c := run.Calls
	if c == nil {
		return
	}
	fmt.Fprintf(w, "\n%s: calls of patched functions\n", run.Kernel.Release)
	functions := slices.SortedStableFunc(slices.Values(c.Functions), func(a, b CalledFunction) int { return cmp.Compare(b.AfterCompletion, a.AfterCompletion) })
	phases := run.everyPhase()
	for i, f := range functions {
		if i == mostTold {
			fmt.Fprintf(w, "  and %d more in report.json\n", len(functions)-i)
			break
		}
		line := fmt.Sprintf("%s:%s: %d old, %d new", f.Object, f.Name, f.Old, f.New)
		if when := sinceEdge(f.LastOldNS, phases); when != "" {
			line += ", the last old one " + when
		}
		if f.AfterCompletion > 0 {
			line += fmt.Sprintf(", %d too late", f.AfterCompletion)
		}
		if len(f.Callers) > 0 {
			line += ", most by " + f.Callers[0].Function
		}
		if f.Unseen != "" {
			line += "; not all are seen: " + f.Unseen
		}
		fmt.Fprintf(w, "  %s\n", oneLine(line))
	}
	if c.Void != "" {
		fmt.Fprintf(w, "  nothing is concluded from these: %s\n", oneLine(c.Void))
	}
}

func (run *Run) everyPhase() (all []*Phase) {
	for _, n := range run.phases("") {
		all = append(all, n.phase)
	}
	return all
}

// writeWhy writes the reason, the diagnosis, and where witnesses differ.
func (run Run) writeWhy(w io.Writer) {
	for i, line := range run.why() {
		if i == 0 {
			fmt.Fprintf(w, "\n%s: %s\n", run.Kernel.Release, line)
			continue
		}
		fmt.Fprintf(w, "  %s\n", line)
	}
}

// why is the reason, then a line for each sentence of the diagnosis and for
// each of those in the way of whom there is more to say than its task, reason
// and function.
func (run *Run) why() []string {
	lines := []string{run.reasonAlone()}
	more := func(n, i int) bool {
		if i < mostTold {
			return false
		}
		lines = append(lines, fmt.Sprintf("and %d more in report.json", n-i))
		return true
	}
	for i, d := range run.Diagnosis {
		if more(len(run.Diagnosis), i) {
			break
		}
		lines = append(lines, "why: "+oneLine(d))
	}
	var differ []string
	for _, b := range run.Blockers {
		if b.Differ != "" {
			differ = append(differ, oneLine(fmt.Sprintf("the witnesses of %s/%d differ: %s", b.Task, b.PID, b.Differ)))
		}
	}
	for i, d := range differ {
		if more(len(differ), i) {
			break
		}
		lines = append(lines, d)
	}
	return lines
}

// inTheWay are those in the way, a line each, for a failure's text.
func (run *Run) inTheWay() (lines []string) {
	for i, b := range run.Blockers {
		if i == mostTold {
			return append(lines, fmt.Sprintf("and %d more in the way", len(run.Blockers)-i))
		}
		line := fmt.Sprintf("in the way: %s/%d (%s", b.Task, b.PID, b.Kind)
		if b.Work != "" {
			line += ", work " + b.Work
		}
		line += ") " + strings.TrimSpace(b.Reason+" "+b.Function)
		if b.Frame != "" {
			line += " at " + b.Frame
		}
		lines = append(lines, oneLine(line))
		for _, frame := range b.Stack[:min(len(b.Stack), mostTold)] {
			lines = append(lines, "    "+oneLine(frame))
		}
	}
	return lines
}
