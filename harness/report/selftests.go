// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/switchyard-project/switchyard/kernels"
)

// Selftests are the results of a kernel's own livepatch selftests.
type Selftests struct {
	Kernel Kernel `json:"kernel"`
	Accel  string `json:"accel"` // "kvm" or "tcg"; "" if no guest was started
	// Machine is the guest that began, and its cost; those that took over
	// after a death are in Scripts' evidence only.
	Machine Machine `json:"machine"`
	// Modules says where the test modules are from: "kernel" or "built".
	Modules   string    `json:"modules"`
	Scripts   []Script  `json:"scripts"`
	Artifacts Artifacts `json:"artifacts"`
	Steps     []Step    `json:"steps,omitempty"`
	Repro     string    `json:"repro,omitempty"` // the command that does it again
	ElapsedNS int64     `json:"elapsed_wall_ns"`
}

// Script is what came of one script.
type Script struct {
	Name     string `json:"name"`
	Result   string `json:"result"`   // "ok", "fail" or "skip"
	Expected string `json:"expected"` // "ok", or "skip" of one that is known not to run there
	// Reason is the script's own word for a result other than ok, or what the
	// kernel or the machine had to say.
	Reason string `json:"reason,omitempty"`
	// Known is why the kernel's skip is expected, with its source.
	Known  string       `json:"known,omitempty"`
	Status int          `json:"status"` // its exit status; 137 of one that was ended or died with the guest
	Tests  []ScriptTest `json:"tests,omitempty"`
	WallNS int64        `json:"wall_ns"`
	// Log is the file in the artifacts with all that the script wrote.
	Log        string      `json:"log,omitempty"`
	LogReports []LogReport `json:"log_reports,omitempty"`
}

// ScriptTest is one of a script's own tests.
type ScriptTest struct {
	Name   string `json:"name"`
	Result string `json:"result"` // "ok", "fail" or "skip"
}

// AsExpected says whether the script needs nobody's attention.
func (s Script) AsExpected() bool { return s.Result == s.Expected }

// AsExpected says whether no script needs anybody's attention.
func (s Selftests) AsExpected() bool {
	for _, script := range s.Scripts {
		if !script.AsExpected() {
			return false
		}
	}
	return true
}

// Booted says whether a guest was started, so that there is evidence.
func (s Selftests) Booted() bool { return s.Accel != "" }

// WriteSelftests writes the selftests' results for a terminal: a row for each
// script of each kernel, and under it what needs attention.
func (r Report) WriteSelftests(w io.Writer) {
	w = Plain(w)
	t := NewTable(w)
	t.AppendHeader(table.Row{"kernel", "script", "result", "tests", "time"})
	for _, s := range r.Selftests {
		for _, script := range s.Scripts {
			t.AppendRow(table.Row{oneLine(s.Kernel.Release), oneLine(script.Name), oneLine(script.result()), script.tests(), time.Duration(script.WallNS).Round(100 * time.Millisecond)})
		}
	}
	t.Render()
	for _, s := range r.Selftests {
		for _, script := range s.Scripts {
			switch {
			case script.Reason == "":
				continue
			case script.AsExpected():
				fmt.Fprintf(w, "\n%s: %s: %s (known: %s)\n", oneLine(s.Kernel.Release), oneLine(script.Name), oneLine(script.Reason), oneLine(script.Known))
			default:
				fmt.Fprintf(w, "\n%s: %s: %s\n", oneLine(s.Kernel.Release), oneLine(script.Name), oneLine(script.Reason))
			}
		}
		if s.AsExpected() {
			continue
		}
		if s.Artifacts.Dir != "" {
			fmt.Fprintf(w, "  evidence: %s\n", oneLine(s.Artifacts.Dir))
		}
		if s.Repro != "" {
			fmt.Fprintf(w, "  again:    %s\n", oneLine(s.Repro))
		}
	}
}

// writeSelftests writes a row for each script and a column for each kernel.
func (m Merged) writeSelftests(w io.Writer) {
	var names, releases []string
	cells := map[[2]string]string{}
	for _, s := range m.Selftests {
		if !slices.Contains(releases, s.Kernel.Release) {
			releases = append(releases, s.Kernel.Release)
		}
		for _, script := range s.Scripts {
			if !slices.Contains(names, script.Name) {
				names = append(names, script.Name)
			}
			cell := script.Result
			if !script.AsExpected() {
				cell = "**" + script.result() + "**"
			}
			cells[[2]string{script.Name, s.Kernel.Release}] = cell
		}
	}
	slices.SortFunc(releases, kernels.CompareVersions)
	writeCross(w, "script", names, releases, func(name, kernel string) string { return cells[[2]string{name, kernel}] })
}

// lines are what to know of a script that is not as expected.
func (s Script) lines(of Selftests) []string {
	lines := []string{s.Reason}
	for _, t := range s.Tests {
		if t.Result != "ok" {
			lines = append(lines, t.Result+": "+t.Name)
		}
	}
	if of.Repro != "" {
		lines = append(lines, "again: "+of.Repro)
	}
	return lines
}

// result is "skip", or "fail (expected ok)".
func (s Script) result() string {
	if s.AsExpected() {
		return s.Result
	}
	return fmt.Sprintf("%s (expected %s)", s.Result, s.Expected)
}

// tests is "3 ok", or "2 ok, 1 fail".
func (s Script) tests() string {
	count := map[string]int{}
	for _, t := range s.Tests {
		count[t.Result]++
	}
	var parts []string
	for _, result := range []string{"ok", "fail", "skip"} {
		if n := count[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}
