// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
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
	t := NewTable(w)
	t.AppendHeader(table.Row{"kernel", "verdict", "apply", "revert", "load", "blockers"})
	for _, run := range r.Runs {
		t.AppendRow(table.Row{run.Kernel.Release, verdict(run), phase(run.Transition.Apply), phase(run.Transition.Revert), loads(run.Load), blockers(run.Blockers)})
	}
	t.Render()
	for _, run := range r.Runs {
		run.writeMeasured(w)
		run.writeFutures(w)
		run.Observer.write(w, run.Kernel.Release)
		if run.Artifacts.Recording != "" {
			fmt.Fprintf(w, "\n%s: recorded; to replay: switchyard repro %s\n", run.Kernel.Release, run.Artifacts.Dir)
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
		fmt.Fprintf(w, "\n%s: %s\n", run.Kernel.Release, oneLine(run.Reason))
		if run.Artifacts.Dir != "" {
			fmt.Fprintf(w, "  evidence: %s\n", run.Artifacts.Dir)
		}
		if run.Repro != "" {
			fmt.Fprintf(w, "  again:    %s\n", run.Repro)
		}
	}
}

// writeRefusals says why a diff cannot be a live patch, a sentence each.
func (run Run) writeRefusals(w io.Writer) {
	for _, r := range run.Refusals {
		r.Release = "" // it begins the line
		fmt.Fprintf(w, "\n%s: refused (%s): %s\n", run.Kernel.Release, r.Code, oneLine(r.Error()))
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

// oneLine keeps what a guest says (task names, log lines) from drawing on the
// terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, text)
}
