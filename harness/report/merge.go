// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// FormatError says that a file cannot be merged: it is not what it should be,
// or of a form that this program does not know.
type FormatError struct {
	Path string
	Err  error
}

func (e *FormatError) Error() string { return e.Path + ": " + e.Err.Error() }

func (e *FormatError) Unwrap() error { return e.Err }

// Read reads a report.json. The error is a *FormatError for one of another
// schema.
func Read(path string) (Report, error) {
	var r Report
	text, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("report: %w", err)
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return r, &FormatError{path, fmt.Errorf("it is no whole JSON: %w", err)}
	}
	if head.Schema != Schema {
		return r, &FormatError{path, fmt.Errorf("its schema is %q, and this program reads %s: read it with the version of switchyard that wrote it", head.Schema, Schema)}
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, &FormatError{path, fmt.Errorf("it is not as docs/report.schema.json says: %w", err)}
	}
	return r, nil
}

// Merged is what several reports and test logs come to.
type Merged struct {
	Report
	// Files are those that were merged.
	Files []string
	// Missing are cases that were planned and have no result: see Expect.
	Missing []Planned
	logs    []TestLog
}

// Planned is a test that was to run on a kernel.
type Planned struct{ Kernel, Test string }

// Expect notes what of plan has no result.
func (m *Merged) Expect(plan []Planned) {
	seen := map[Planned]bool{}
	for _, c := range m.Cases {
		seen[Planned{c.Kernel, c.Test()}] = true
	}
	for _, p := range plan {
		// A test that is of no kernel counts for each.
		if !seen[p] && !seen[Planned{"", p.Test}] {
			m.Missing = append(m.Missing, p)
		}
	}
}

// Merge joins all reports (*.json that have our schema) and all logs of
// `go test -json` (*.json, *.jsonl, *.log) below dir, in the order of their
// paths; other files and those in except are passed over. What is there twice,
// in a log and in a report that it was merged into, counts once. The error is
// a *FormatError, or several at once, for files that cannot be merged, and for
// a folder that has nothing to merge.
func Merge(dir string, except ...string) (Merged, error) {
	var m Merged
	var errs *multierror.Error
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".json", ".jsonl", ".log"}, filepath.Ext(path)) || sameAsAny(path, except) {
			return err
		}
		kind, err := sniff(path)
		if err != nil {
			return err
		}
		switch kind {
		case aReport:
			r, err := Read(path)
			if err != nil {
				errs = multierror.Append(errs, err)
				return nil
			}
			m.Runs = append(m.Runs, r.Runs...)
			m.Searches = append(m.Searches, r.Searches...)
			m.Cases = append(m.Cases, r.Cases...)
			m.Selftests = append(m.Selftests, r.Selftests...)
			m.Repeats = append(m.Repeats, r.Repeats...)
		case aTestLog:
			log, err := readTestLogFile(path)
			if err != nil {
				errs = multierror.Append(errs, &FormatError{path, err})
				return nil
			}
			m.Cases = append(m.Cases, log.Cases...)
			m.logs = append(m.logs, log)
		default:
			return nil
		}
		m.Files = append(m.Files, path)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return m, &FormatError{dir, errors.New("there is no such folder")}
	}
	if err != nil {
		return m, fmt.Errorf("merge reports: %w", err)
	}
	if errs != nil && len(errs.Errors) == 1 {
		return m, errs.Errors[0]
	}
	if errs != nil {
		return m, errs
	}
	m.Runs, m.Searches, m.Cases, m.Selftests, m.Repeats = once(m.Runs), once(m.Searches), once(m.Cases), once(m.Selftests), once(m.Repeats)
	if len(m.Files) == 0 {
		return m, &FormatError{dir, errors.New("no report.json and no output of `go test -json` lies below it")}
	}
	return m, nil
}

// once keeps the first of equal elements.
func once[T any](all []T) (kept []T) {
	seen := map[string]bool{}
	for _, one := range all {
		text, err := json.Marshal(one)
		if err == nil && seen[string(text)] {
			continue
		}
		seen[string(text)] = true
		kept = append(kept, one)
	}
	return kept
}

func sameAsAny(path string, others []string) bool {
	info, err := os.Stat(path)
	return err == nil && slices.ContainsFunc(others, func(o string) bool {
		other, err := os.Stat(o)
		return err == nil && os.SameFile(info, other)
	})
}

func readTestLogFile(path string) (TestLog, error) {
	f, err := os.Open(path)
	if err != nil {
		return TestLog{}, err
	}
	defer f.Close()
	return ReadTestLog(f)
}

// What a file can be.
const (
	somethingElse = iota
	aReport
	aTestLog
)

// sniff looks at a file's beginning.
func sniff(path string) (kind int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return somethingElse, err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return somethingElse, fmt.Errorf("%s: %w", path, err)
	}
	head = head[:n]
	for lines := bufio.NewScanner(bytes.NewReader(head)); lines.Scan(); {
		if _, ok := readTestEvent(lines.Bytes()); ok {
			return aTestLog, nil
		}
	}
	if filepath.Ext(path) != ".json" {
		return somethingElse, nil
	}
	if filepath.Base(path) == "report.json" || strings.HasPrefix(schemaOf(head), schemaFamily) {
		return aReport, nil
	}
	return somethingElse, nil
}

// schemaFamily begins the schemas of all versions.
const schemaFamily = "switchyard.report/"

// schemaOf is the schema that the JSON object which begins with head says it
// has, as its first field.
func schemaOf(head []byte) string {
	d := json.NewDecoder(bytes.NewReader(head))
	for _, want := range []any{json.Delim('{'), "schema"} {
		if got, err := d.Token(); err != nil || got != want {
			return ""
		}
	}
	schema, _ := d.Token()
	text, _ := schema.(string)
	return text
}

// AsExpected says whether nothing that was merged needs anybody's attention.
func (m Merged) AsExpected() bool {
	return len(m.Missing) == 0 && m.Report.AsExpected()
}

// AsExpected says whether nothing in it needs anybody's attention. The runs
// of searches are examples, of seeds that count already.
func (r Report) AsExpected() bool {
	return !slices.ContainsFunc(r.Runs, func(r Run) bool { return !r.AsExpected() }) &&
		!slices.ContainsFunc(r.Selftests, func(s Selftests) bool { return !s.AsExpected() }) &&
		!slices.ContainsFunc(r.Searches, func(s Search) bool { return !s.AsExpected() }) &&
		!slices.ContainsFunc(r.Repeats, func(r Repeats) bool { return !r.AsExpected() }) &&
		!slices.ContainsFunc(r.Cases, func(c Case) bool { return c.Result == Failed })
}
