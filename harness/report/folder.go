// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// CommandFile is the log of one `switchyard run` over all its runs, in the
// folder that holds theirs.
const CommandFile = "command.jsonl"

// The kinds of events in CommandFile.
const (
	kindCommand = "command" // what is to be run, Raw: Command
	kindTried   = "tried"   // a seed was tried, Raw: Tried
)

// Command is what one `switchyard run` was to do.
type Command struct {
	// Runs are the runs' folders in the order of the report; those of a search
	// hold a folder for each example.
	Runs   []string `json:"runs"`
	Search bool     `json:"search,omitempty"`
}

// CommandLog is CommandFile while it grows.
type CommandLog struct{ log *observe.Log }

// CreateCommandLog begins the log of c in dir.
func CreateCommandLog(dir string, c Command) (*CommandLog, error) {
	log, err := observe.Create(filepath.Join(dir, CommandFile), 0)
	if err != nil {
		return nil, err
	}
	l := &CommandLog{log}
	return l, l.add(kindCommand, c)
}

// Tried notes a seed that was tried.
func (l *CommandLog) Tried(t Tried) error { return l.add(kindTried, t) }

// Close closes the log; the error is the first one of its life.
func (l *CommandLog) Close() error { return l.log.Close() }

func (l *CommandLog) add(kind string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.log.Append(observe.Event{Clock: observe.Host, T: observe.Monotonic(), Kind: kind, Raw: raw})
}

// FromFolder computes the report of what one `switchyard run` left in dir, or
// of the one run whose folder that is. Errors: as FromLogs.
func FromFolder(dir string) (Report, error) {
	var torn []error
	events, err := readLog(filepath.Join(dir, CommandFile), &torn)
	if errors.Is(err, fs.ErrNotExist) {
		r, err := FromLogs(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return Report{}, &FormatError{dir, fmt.Errorf("it holds neither %s nor %s: give the artifacts folder of a run", CommandFile, observe.RunFile)}
		}
		return Report{Runs: []Run{r}}, err
	}
	if err != nil {
		return Report{}, err
	}
	var c Command
	var tried []Tried
	for _, e := range events {
		var err error
		switch e.Kind {
		case kindCommand:
			err = json.Unmarshal(e.Raw, &c)
		case kindTried:
			var t Tried
			err = json.Unmarshal(e.Raw, &t)
			tried = append(tried, t)
		}
		if err != nil {
			return Report{}, &FormatError{filepath.Join(dir, CommandFile), err}
		}
	}
	return c.report(dir, tried)
}

func (c Command) report(dir string, tried []Tried) (Report, error) {
	var r Report
	for _, name := range c.Runs {
		if !filepath.IsLocal(name) {
			return r, &FormatError{filepath.Join(dir, CommandFile), fmt.Errorf("%q is no folder in it", name)}
		}
		folders := []string{name}
		if c.Search {
			s := SearchOf(slices.DeleteFunc(slices.Clone(tried), func(t Tried) bool { return t.Run != name }))
			if s.Seeds == 0 {
				continue
			}
			r.Searches = append(r.Searches, s)
			folders = nil
			for _, f := range s.Verdicts {
				folders = append(folders, filepath.Join(name, SeedFolder(f.Seeds[0])))
			}
		}
		for _, f := range folders {
			run, err := FromLogs(filepath.Join(dir, f))
			switch {
			case errors.Is(err, fs.ErrNotExist): // it came to nothing that is worth a look
				continue
			case err != nil:
				return r, err
			}
			r.Runs = append(r.Runs, run)
		}
	}
	return r, nil
}

// files are all forms of a report, by their names.
var files = []struct {
	name  string
	write func(Report, io.Writer) error
}{
	{"report.json", Report.WriteJSON},
	{"report.txt", func(r Report, w io.Writer) error { r.WriteText(w); return nil }},
	{"report.html", Report.WriteHTML},
	{"junit.xml", func(r Report, w io.Writer) error { return Merged{Report: r}.WriteJUnit(w) }},
}

// Files are the names of all forms of a report.
func Files() (names []string) {
	for _, f := range files {
		names = append(names, f.name)
	}
	return names
}

// SaveAll writes the report in all its forms into dir, each whole or not at
// all.
func (r Report) SaveAll(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		var text bytes.Buffer
		if err := f.write(r, &text); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(dir, f.name), err)
		}
		if err := renameio.WriteFile(filepath.Join(dir, f.name), text.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(dir, f.name), err)
		}
	}
	return nil
}

// WriteText writes the report for a terminal.
func (r Report) WriteText(w io.Writer) {
	if r.Searches != nil {
		r.WriteSearches(w)
		return
	}
	r.WriteTable(w)
}
