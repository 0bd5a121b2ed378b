// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jstemmer/go-junit-report/v2/gtr"
	"github.com/jstemmer/go-junit-report/v2/parser/gotest"
)

// TestLog is what `go test -json` said.
type TestLog struct {
	// Cases are those of one kernel each, and tests that are of none.
	Cases []Case
	tests gtr.Report
}

// testEvent is the part of a line of `go test -json` that tells it from other
// JSON. See `go doc test2json`; a build has an ImportPath, which is
// "PACKAGE [PACKAGE.test]".
type testEvent struct{ Action, Package, ImportPath string }

func readTestEvent(line []byte) (e testEvent, ok bool) {
	err := json.Unmarshal(line, &e)
	return e, err == nil && e.Action != "" && (e.Package != "" || e.ImportPath != "")
}

func (e testEvent) pkg() string {
	name, _, _ := strings.Cut(cmp.Or(e.Package, e.ImportPath), " ")
	return name
}

// maxLogLine bounds a line of a test log, in bytes.
const maxLogLine = 16 << 20

// ReadTestLog reads the output of `go test -json`. Lines that are no events,
// as go writes them on standard error, are passed over, and so is the last one
// of a log that was cut off; a test that did not end has failed.
func ReadTestLog(r io.Reader) (TestLog, error) {
	// Each package by itself: their lines may be mixed, and the parser learns a
	// package's name from its last one, which may be missing.
	var packages []string
	events := map[string]*bytes.Buffer{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxLogLine)
	for lines.Scan() {
		e, ok := readTestEvent(lines.Bytes())
		if !ok {
			continue
		}
		b := events[e.pkg()]
		if b == nil {
			b = &bytes.Buffer{}
			packages, events[e.pkg()] = append(packages, e.pkg()), b
		}
		b.Write(lines.Bytes())
		b.WriteByte('\n')
	}
	if err := lines.Err(); err != nil {
		return TestLog{}, fmt.Errorf("test log: %w", err)
	}
	if len(packages) == 0 {
		return TestLog{}, fmt.Errorf("it has no line of `go test -json`")
	}
	var tests gtr.Report
	for _, name := range packages {
		parser := gotest.NewJSONParser(gotest.PackageName(name), gotest.TimestampFunc(func() time.Time { return time.Time{} }))
		of, err := parser.Parse(events[name])
		if err != nil {
			return TestLog{}, fmt.Errorf("test log, package %s: %w", name, err)
		}
		for _, p := range of.Packages {
			p.Name = cmp.Or(p.Name, name)
			tests.Packages = append(tests.Packages, p)
		}
	}
	return TestLog{cases(tests), tests}, nil
}

// cases takes the results of each kernel, and of tests that are of none.
func cases(tests gtr.Report) (all []Case) {
	for _, p := range tests.Packages {
		split := map[string]bool{} // tests of which there are parts by kernel
		for _, t := range p.Tests {
			if name, kernel, _ := splitName(t.Name); kernel != "" {
				for parts := strings.Split(name, "/"); len(parts) > 0; parts = parts[:len(parts)-1] {
					split[strings.Join(parts, "/")] = true
				}
			}
		}
		for _, t := range p.Tests {
			name, kernel, below := splitName(t.Name)
			if below || kernel == "" && (split[name] || strings.Contains(name, "/")) {
				continue // counted in the test above or below it
			}
			c := Case{Package: p.Name, Name: name, Kernel: kernel, ElapsedNS: int64(t.Duration)}
			switch t.Result {
			case gtr.Pass:
				c.Result = Passed
			case gtr.Skip:
				c.Result = Skipped
			case gtr.Fail:
				c.Result, c.Output = Failed, last(failure(p, t))
			default:
				c.Result, c.Output = Failed, append(last(t.Output), "the test did not end")
			}
			all = append(all, c)
		}
		for _, e := range []gtr.Error{p.BuildError, p.RunError} {
			if e.Name != "" {
				all = append(all, Case{Package: p.Name, Name: "(the package)", Result: Failed, Output: last(append(slices.Clone(e.Output), p.Output...))})
			}
		}
	}
	return all
}

// failure is what a test and those below it that failed have said.
func failure(p gtr.Package, t gtr.Test) (lines []string) {
	lines = slices.Clone(t.Output)
	for _, sub := range p.Tests {
		if strings.HasPrefix(sub.Name, t.Name+"/") && sub.Result == gtr.Fail {
			lines = append(lines, sub.Name+":")
			lines = append(lines, sub.Output...)
		}
	}
	return lines
}

// last keeps the end of what a test has said.
func last(lines []string) []string {
	const most = 60
	return lines[max(0, len(lines)-most):]
}
