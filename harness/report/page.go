// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page/*.tmpl
var pageFiles embed.FS

//go:embed page/page.css
var pageStyle string

// pageTemplate escapes all that it is given by where it stands; only plots and
// the page's own style are taken as they are.
var pageTemplate = template.Must(template.ParseFS(pageFiles, "page/*.tmpl"))

// page is what the template shows.
type page struct {
	Title    string
	Style    template.CSS
	Searches []pageSearch
	Repeats  []pageRepeats
	Runs     []pageRun
}

// figure is a value of report.json as the page shows it: with where it stands
// there (RFC 6901) and how it is there.
type figure struct {
	Path  string
	Value any
	Text  string
}

// row is a line of a list of figures.
type row struct {
	Label   string
	Figures []figure
}

type pageSearch struct {
	Release string
	Rows    []row
	Found   []pageFound
}

type pageFound struct {
	Verdict, Count figure
	Seeds, Reason  string
}

type pageRun struct {
	ID, Release, Patch, Verdict, Apply, Revert, Reason string
	Good                                               bool
	Refusals, Warnings, Again                          []string
	Blockers                                           *pageBlockers
	Phases                                             []pagePhase
	Interruption                                       *pageInterruption
	Calls                                              *pageCalls
	Loads                                              []pageLoad
	Futures                                            []pageFuture
	Reports                                            []pageReport
	Log                                                []pageLine
	LogOmitted                                         int
	Facts                                              []row
	Steps                                              []pageStep
}

type pageFuture struct {
	Name    figure
	Outcome string
}

type pageReport struct {
	Title figure
	Text  []string
}

type pageStep struct {
	Name, Wall figure
	Error      string
}

// WriteHTML writes the report as one page that needs nothing else: no script,
// no other file, no network. What a guest said stays text.
func (r Report) WriteHTML(w io.Writer) error {
	p := page{Title: "Switchyard: " + r.title(), Style: template.CSS(pageStyle)}
	for i := range r.Searches {
		p.Searches = append(p.Searches, r.Searches[i].page(fmt.Sprintf("/searches/%d", i)))
	}
	for i := range r.Repeats {
		p.Repeats = append(p.Repeats, r.Repeats[i].page(fmt.Sprintf("/repeats/%d", i)))
	}
	for i := range r.Runs {
		run, err := r.Runs[i].page(i)
		if err != nil {
			return err
		}
		p.Runs = append(p.Runs, run)
	}
	return pageTemplate.ExecuteTemplate(w, "page.html.tmpl", p)
}

// title names the patches.
func (r Report) title() string {
	var names []string
	for _, run := range r.Runs {
		if !slices.Contains(names, run.Patch.Name) {
			names = append(names, run.Patch.Name)
		}
	}
	if len(names) == 0 {
		return "no runs"
	}
	return oneLine(strings.Join(names, ", "))
}

func (s Search) page(path string) pageSearch {
	out := pageSearch{Release: oneLine(s.Release), Rows: []row{
		{"seeds", []figure{number(path+"/seeds", s.Seeds)}},
		{"different timelines", []figure{number(path+"/timelines", s.Timelines)}},
	}}
	for i, f := range s.Verdicts {
		at := fmt.Sprintf("%s/verdicts/%d", path, i)
		out.Found = append(out.Found, pageFound{text(at+"/verdict", f.Verdict), number(at+"/count", f.Count), seeds(f), oneLine(f.Reason)})
	}
	return out
}

func (r *Run) page(i int) (pageRun, error) {
	path := fmt.Sprintf("/runs/%d", i)
	out := pageRun{
		ID: fmt.Sprintf("run-%d", i), Release: oneLine(r.Kernel.Release), Patch: oneLine(r.Patch.Name), Verdict: verdict(*r), Good: r.AsExpected(),
		Apply: phase(r.Transition.Apply), Revert: phase(r.Transition.Revert), Reason: r.reasonAlone(), Again: oneLines(r.again()), Blockers: r.pageBlockers(path),
		LogOmitted: r.KernelLogOmitted, Facts: r.facts(path), Log: r.lines(),
	}
	for _, w := range slices.Concat(r.Warnings, r.Patch.Warnings) {
		out.Warnings = append(out.Warnings, oneLine(w))
	}
	for _, one := range r.Refusals {
		out.Refusals = append(out.Refusals, oneLine(one.Error()))
	}
	var phases []*Phase
	for _, n := range r.phases(path) {
		one, err := n.page()
		if err != nil {
			return out, err
		}
		out.Phases, phases = append(out.Phases, one), append(phases, n.phase)
	}
	out.Calls = r.Calls.page(path, phases)
	var err error
	if out.Interruption, err = r.Interruption.page(path); err != nil {
		return out, err
	}
	for j := range r.Load {
		one, err := r.Load[j].page(fmt.Sprintf("%s/load/%d", path, j), phases)
		if err != nil {
			return out, err
		}
		out.Loads = append(out.Loads, one)
	}
	for j, f := range r.Futures {
		out.Futures = append(out.Futures, pageFuture{text(fmt.Sprintf("%s/futures/%d/name", path, j), f.Name), oneLine(f.outcome())})
	}
	for j, l := range r.LogReports {
		out.Reports = append(out.Reports, pageReport{text(fmt.Sprintf("%s/log_reports/%d/title", path, j), l.Title), oneLines(l.Text)})
	}
	for j, s := range r.Steps {
		at := fmt.Sprintf("%s/steps/%d", path, j)
		out.Steps = append(out.Steps, pageStep{text(at+"/name", s.Name), duration(at+"/wall_ns", s.WallNS), oneLine(s.Error)})
	}
	return out, nil
}

// facts are what the run was about and what it cost.
func (r *Run) facts(path string) []row {
	rows := []row{
		{"kernel", []figure{text(path+"/kernel/release", r.Kernel.Release), text(path+"/kernel/version", r.Kernel.Version), text(path+"/kernel/source", r.Kernel.Source)}},
		{"patch", []figure{text(path+"/patch/name", r.Patch.Name), text(path+"/patch/sha256", r.Patch.SHA256), text(path+"/patch/route", r.Patch.Route)}},
	}
	var functions []figure
	for i, f := range r.Patch.Functions {
		functions = append(functions, text(fmt.Sprintf("%s/patch/functions/%d/name", path, i), f.Name))
	}
	m := r.Machine
	rows = append(rows, []row{
		{"functions", functions},
		{"engine", []figure{text(path+"/engine", r.Engine)}},
		{"machine", []figure{text(path+"/accel", r.Accel), text(path+"/machine/qemu", m.QEMU), text(path+"/machine/start", m.Start)}},
		{"vCPUs", []figure{number(path+"/machine/vcpus", m.VCPUs)}},
		{"memory, MiB", []figure{number(path+"/machine/mem_mib", m.MemMiB)}},
		{"start, wall time", []figure{duration(path+"/machine/start_wall_ns", m.StartWallNS)}},
		{"CPU time of QEMU", []figure{duration(path+"/machine/cpu_ns", m.CPUNS)}},
		{"wall time of the run", []figure{duration(path+"/elapsed_wall_ns", r.ElapsedNS)}},
	}...)
	if o := r.Observer; o != nil {
		at := path + "/observer"
		rows = append(rows,
			row{"watching took, of one CPU", []figure{percent(at+"/cpu_share", o.CPUShare)}},
			row{"the same while a transition ran", []figure{percent(at+"/transition_cpu_share", o.TransitionCPUShare)}},
			row{"looks, the latest by, tasks", []figure{number(at+"/looks", o.Looks), short(at+"/max_late_ns", o.MaxLateNS), number(at+"/tasks", o.Tasks)}},
		)
	}
	for i, one := range r.Measured {
		at := fmt.Sprintf("%s/measured/%d", path, i)
		figures := []figure{text(at+"/name", one.Name), number(at+"/calls", one.Calls)}
		if one.Time != nil {
			figures = append(figures, duration(at+"/time/mean_ns", one.Time.MeanNS), duration(at+"/time/longest_ns", one.Time.LongestNS))
		}
		rows = append(rows, row{"measured: calls, mean and longest time", figures})
	}
	if r.Seed != nil {
		rows = append(rows, row{"seed", []figure{number(path+"/seed", *r.Seed)}})
	}
	return slices.DeleteFunc(rows, func(r row) bool { return len(r.Figures) == 0 })
}

// number, duration and text are figures of that kind.
func number(path string, n any) figure { return figure{path, n, fmt.Sprint(n)} }

func duration(path string, ns int64) figure { return figure{path, ns, seconds(ns)} }

// percent is a share.
func percent(path string, share float64) figure {
	return figure{path, share, fmt.Sprintf("%.2f %%", 100*share)}
}

// short is a duration of which microseconds count.
func short(path string, ns int64) figure { return figure{path, ns, precise(ns)} }

func text(path, s string) figure { return figure{path, s, cmp.Or(oneLine(s), "-")} }

func oneLines(lines []string) (out []string) {
	for _, l := range lines {
		out = append(out, oneLine(l))
	}
	return out
}
