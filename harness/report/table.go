// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// NewTable is a table as the command prints them, without lines between cells.
func NewTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	return t
}

// WriteTable writes the report for a terminal: a row for each kernel, and
// under it, for each run that is not as expected, why and where to look.
func (r Report) WriteTable(w io.Writer) {
	w = Plain(w)
	t := NewTable(w)
	t.AppendHeader(table.Row{"kernel", "verdict", "apply", "revert", "longest interruption", "load", "blockers"})
	// A column that has nothing to tell is not there.
	measured := slices.ContainsFunc(r.Runs, func(run Run) bool { return run.Interruption != nil })
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "longest interruption", Hidden: !measured}})
	for _, run := range r.Runs {
		t.AppendRow(table.Row{oneLine(run.Kernel.Release), oneLine(verdict(run)), phase(run.Transition.Apply), phase(run.Transition.Revert), interrupted(run.Interruption), oneLine(loads(run.Load)), blockers(run.Blockers)})
	}
	t.Render()
	for _, run := range r.Runs {
		run.Kernel.Release = oneLine(run.Kernel.Release) // it begins lines
		if len(r.Runs) == 1 {                            // of several, the page tells
			run.writeInterruption(w)
			run.writeCalls(w)
			run.writeLatency(w)
		}
		run.writeMeasured(w)
		run.writeFutures(w)
		run.Observer.write(w, run.Kernel.Release)
		if run.Artifacts.Recording != "" {
			fmt.Fprintf(w, "\n%s: recorded; to replay: switchyard repro %s\n", run.Kernel.Release, oneLine(run.Artifacts.Dir))
		}
		if run.Artifacts.Bundle != "" {
			fmt.Fprintf(w, "\n%s: bundle: %s\n", run.Kernel.Release, oneLine(filepath.Join(run.Artifacts.Dir, run.Artifacts.Bundle)))
		}
		for _, warning := range slices.Concat(run.Warnings, run.Patch.Warnings) {
			fmt.Fprintf(w, "\n%s: %s\n", run.Kernel.Release, oneLine(warning))
		}
		if run.Reason == "" && run.AsExpected() {
			continue
		}
		if run.Refused() {
			run.writeRefusals(w)
			continue
		}
		run.writeWhy(w)
		run.writeWhere(w)
	}
}

// writeWhere says where to look, and how to see it again.
func (run Run) writeWhere(w io.Writer) {
	if run.Artifacts.Dir != "" {
		fmt.Fprintf(w, "  evidence: %s\n", oneLine(run.Artifacts.Dir))
	}
	for _, again := range run.again() {
		fmt.Fprintf(w, "  again:    %s\n", again)
	}
}

// again are the commands that do the run again, the one for here first.
func (run Run) again() (commands []string) {
	for _, c := range []string{run.Command, run.Repro} {
		if c != "" {
			commands = append(commands, oneLine(c))
		}
	}
	return commands
}

// writeRefusals says why a diff cannot be a live patch, a sentence each.
func (run Run) writeRefusals(w io.Writer) {
	for _, r := range run.Refusals {
		r.Release = "" // it begins the line
		fmt.Fprintf(w, "\n%s: refused (%s): %s\n", run.Kernel.Release, oneLine(string(r.Code)), oneLine(r.Error()))
	}
}

func verdict(run Run) string {
	if run.AsExpected() {
		return run.Verdict
	}
	return fmt.Sprintf("%s (expected %s)", run.verdict(), run.Expected)
}

// phase is "1.36 s, 2 rounds".
func phase(p *Phase) string {
	if p == nil {
		return "-"
	}
	text := seconds(p.GuestNS)
	if !p.Done {
		text = "> " + text
	}
	switch {
	case p.Rounds == nil:
	case *p.Rounds == 1:
		text += ", 1 round"
	default:
		text += fmt.Sprintf(", %d rounds", *p.Rounds)
	}
	return text
}

func seconds(ns int64) string {
	d := time.Duration(ns)
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// loads is "fork 812 ops, pipe 20113 ops" with wrong results called out.
func loads(all []Load) string {
	var parts []string
	for _, l := range all {
		text := fmt.Sprintf("%s %d ops", l.Name, l.Ops)
		if l.Errors > 0 {
			text += fmt.Sprintf(" (%d wrong)", l.Errors)
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func blockers(all []Blocker) string {
	if len(all) == 0 {
		return "-"
	}
	text := fmt.Sprintf("%s/%d %s", all[0].Task, all[0].PID, all[0].Reason)
	if n := len(all) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return oneLine(text)
}
