// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"

	"github.com/jstemmer/go-junit-report/v2/junit"
)

// WriteJUnit writes all that was merged for a CI system: a suite for each
// package of tests, and one for runs.
func (m Merged) WriteJUnit(w io.Writer) error {
	var all junit.Testsuites
	add := func(suites ...junit.Testsuite) {
		for _, s := range suites {
			s.ID = len(all.Suites)
			s.Time = cmp.Or(s.Time, "0.000")
			all.AddSuite(s)
		}
	}
	logged := map[string]bool{}
	for _, log := range m.logs {
		add(junit.CreateFromReport(log.tests, "").Suites...)
		for _, c := range log.Cases {
			logged[c.id()] = true
		}
	}
	add(m.caseSuites(logged)...)
	if len(m.Runs) > 0 {
		add(m.runSuite())
	}
	for _, s := range m.Selftests {
		add(s.suite())
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return all.WriteXML(w)
}

func (c Case) id() string { return c.Package + " " + c.Name + " " + c.Kernel }

// caseSuites are the cases of reports that had been merged before.
func (m Merged) caseSuites(logged map[string]bool) (suites []junit.Testsuite) {
	at := map[string]int{}
	for _, c := range m.Cases {
		if logged[c.id()] {
			continue
		}
		i, ok := at[c.Package]
		if !ok {
			i = len(suites)
			at[c.Package] = i
			suites = append(suites, junit.Testsuite{Name: c.Package})
		}
		name := c.Name
		if c.Kernel != "" {
			name += "/" + c.Kernel
		}
		t := junit.Testcase{Classname: c.Package, Name: name, Time: fmt.Sprintf("%.3f", c.Elapsed().Seconds())}
		switch c.Result {
		case Failed:
			t.Failure = &junit.Result{Message: "Failed", Data: printable(c.Output)}
		case Skipped:
			t.Skipped = &junit.Result{Message: "Skipped"}
		}
		suites[i].AddTestcase(t)
	}
	return suites
}

func (m Merged) runSuite() junit.Testsuite {
	s := junit.Testsuite{Name: "switchyard run"}
	named := map[string]int{}
	for _, r := range m.Runs {
		name := r.Patch.Name + "/" + r.Kernel.Release
		if named[name]++; named[name] > 1 { // CI systems take cases of one name for one
			name += fmt.Sprintf("#%d", named[name])
		}
		t := junit.Testcase{Classname: r.Patch.Name, Name: name, Time: fmt.Sprintf("%.3f", float64(r.ElapsedNS)/1e9)}
		if !r.AsExpected() {
			lines := slices.Concat(r.why(), r.inTheWay())
			if r.Refused() {
				lines = nil
				for _, one := range r.Refusals {
					lines = append(lines, fmt.Sprintf("%s: %s", one.Code, one.Error()))
				}
			}
			for _, c := range r.again() {
				lines = append(lines, "again: "+c)
			}
			t.Failure = &junit.Result{Message: fmt.Sprintf("%s, expected %s", r.verdict(), r.Expected), Data: printable(lines)}
		}
		s.AddTestcase(t)
	}
	return s
}

func (s Selftests) suite() junit.Testsuite {
	out := junit.Testsuite{Name: "switchyard selftests " + s.Kernel.Release}
	for _, script := range s.Scripts {
		t := junit.Testcase{Classname: "livepatch", Name: script.Name + "/" + s.Kernel.Release, Time: fmt.Sprintf("%.3f", float64(script.WallNS)/1e9)}
		switch {
		case !script.AsExpected():
			t.Failure = &junit.Result{Message: script.result(), Data: printable(script.lines(s))}
		case script.Result == "skip":
			t.Skipped = &junit.Result{Message: oneLine(script.Reason)}
		}
		out.AddTestcase(t)
	}
	return out
}

func (r Run) verdict() string {
	switch {
	case r.CutOff != "":
		return "cut off"
	case r.Verdict == "":
		return "no verdict"
	}
	return r.Verdict
}

// printable is lines without what XML cannot hold.
func printable(lines []string) (text string) {
	for _, l := range lines {
		text += oneLine(l) + "\n"
	}
	return text
}
