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
	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// CommandFile is the log of one `switchyard run` over all its runs, in the
// folder that holds theirs.
const CommandFile = "command.jsonl"

// The kinds of events in CommandFile.
const (
	kindCommand = "command" // what is to be run, Raw: Command
	kindTried   = "tried"   // a seed was tried, Raw: Tried
	kindDropped = "dropped" // a run's evidence was not kept, Raw: Repeated
)

// Command is what one `switchyard run` was to do.
type Command struct {
	// Runs are the runs' folders in the order of the report; those of a search
	// hold a folder for each example.
	Runs   []string `json:"runs"`
	Search bool     `json:"search,omitempty"`
	// Repeat is how often each kernel's run is repeated, 0 for once and without
	// summing up. The folders of the repeats of one lie in one.
	Repeat int    `json:"repeat,omitempty"`
	Until  string `json:"until,omitempty"` // see Repeats
}

// Report is what came of the command: done are the runs by their folders,
// dropped what is known of those whose evidence was not kept.
func (c Command) Report(done map[string]Run, dropped []Repeated) Report {
	var r Report
	gone := map[string]Repeated{}
	for _, d := range dropped {
		gone[d.Run] = d
	}
	series, at := [][]Repeated{}, map[string]int{}
	for _, name := range c.Runs {
		one, known := gone[name]
		if run, kept := done[name]; kept {
			r.Runs = append(r.Runs, run)
			one, known = RepeatedOf(name, run), true
		}
		if !known {
			continue
		}
		i, begun := at[filepath.Dir(name)]
		if !begun {
			i = len(series)
			at[filepath.Dir(name)] = i
			series = append(series, nil)
		}
		series[i] = append(series[i], one)
	}
	if c.Repeat > 0 {
		for _, s := range series {
			r.Repeats = append(r.Repeats, RepeatsOf(s, c.Repeat, c.Until))
		}
	}
	return r
}

// CommandLog is CommandFile while it grows.
type CommandLog struct {
	log     *observe.Log
	dropped []Repeated
}

// CreateCommandLog begins the log of c in dir.
func CreateCommandLog(dir string, c Command) (*CommandLog, error) {
	log, err := observe.Create(filepath.Join(dir, CommandFile), 0)
	if err != nil {
		return nil, err
	}
	l := &CommandLog{log: log}
	return l, l.add(kindCommand, c)
}

// Tried notes a seed that was tried.
func (l *CommandLog) Tried(t Tried) error { return l.add(kindTried, t) }

// Drop notes a run whose evidence is not kept.
func (l *CommandLog) Drop(r Repeated) error {
	l.dropped = append(l.dropped, r)
	return l.add(kindDropped, r)
}

// Dropped are those that were noted.
func (l *CommandLog) Dropped() []Repeated { return l.dropped }

// Close closes the log; the error is the first one of its life.
func (l *CommandLog) Close() error { return l.log.Close() }

func (l *CommandLog) add(kind string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.log.Append(observe.Event{Clock: observe.Host, T: observe.Monotonic(), Kind: kind, Raw: raw})
}

// Folder is what one `switchyard run` left: the report, computed from the logs,
// and where each of its runs lies.
type Folder struct {
	Report
	Dir string
	// Dirs are the folders of the report's runs, below Dir.
	Dirs []string

	nothing []int // which of the runs left nothing that tells of them
}

// FromFolder computes the report of what one `switchyard run` left in dir, or
// of the one run whose folder that is. Errors: as FromLogs. Of several runs those
// that can be read are in the folder all the same, and the errors of the others
// come together.
func FromFolder(dir string) (*Folder, error) {
	f := &Folder{Dir: dir}
	var torn []error
	events, err := readLog(filepath.Join(dir, CommandFile), &torn)
	if errors.Is(err, fs.ErrNotExist) {
		err := f.add(".")
		if err == nil && len(f.Runs) == 0 {
			err = &FormatError{dir, fmt.Errorf("it holds neither %s nor %s: give the artifacts folder of a run", CommandFile, observe.RunFile)}
		}
		return f, err
	}
	if err != nil {
		return f, err
	}
	var c Command
	var tried []Tried
	var dropped []Repeated
	for _, e := range events {
		var err error
		switch e.Kind {
		case kindCommand:
			err = json.Unmarshal(e.Raw, &c)
		case kindTried:
			var t Tried
			err = json.Unmarshal(e.Raw, &t)
			tried = append(tried, t)
		case kindDropped:
			var d Repeated
			err = json.Unmarshal(e.Raw, &d)
			dropped = append(dropped, d)
		}
		if err != nil {
			return f, &FormatError{filepath.Join(dir, CommandFile), err}
		}
	}
	err = f.take(c, tried)
	if !c.Search {
		f.Repeats = c.Report(f.byFolder(), dropped).Repeats
	}
	if err == nil && len(f.Runs)+len(f.Searches)+len(f.Repeats) == 0 {
		err = &FormatError{dir, errors.New("no run that was begun there came so far that it left a log")}
	}
	return f, err
}

// take takes in the runs that were to be.
func (f *Folder) take(c Command, tried []Tried) error {
	var all []string
	for _, name := range c.Runs {
		if !filepath.IsLocal(name) {
			return &FormatError{filepath.Join(f.Dir, CommandFile), fmt.Errorf("%q is no folder in it", name)}
		}
		dirs := []string{name}
		if c.Search {
			s := SearchOf(slices.DeleteFunc(slices.Clone(tried), func(t Tried) bool { return t.Run != name }))
			if s.Seeds == 0 {
				continue
			}
			f.Searches = append(f.Searches, s)
			dirs = nil
			for _, v := range s.Verdicts {
				dirs = append(dirs, filepath.Join(name, SeedFolder(v.Seeds[0])))
			}
		}
		all = append(all, dirs...)
	}
	var errs *multierror.Error
	for _, dir := range all {
		err := f.add(dir)
		if len(all) > 1 && errors.Is(err, errNothing) {
			f.leftNothing(dir)
			err = nil
		}
		if err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	f.nameNothing()
	return errs.ErrorOrNil()
}

func (f *Folder) byFolder() map[string]Run {
	all := map[string]Run{}
	for i, dir := range f.Dirs {
		all[dir] = f.Runs[i]
	}
	return all
}

// add takes in the run in dir. One that came to nothing that is worth a look
// has left none.
func (f *Folder) add(dir string) error {
	r, err := FromLogs(filepath.Join(f.Dir, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Runs, f.Dirs = append(f.Runs, r), append(f.Dirs, dir)
	return nil
}

// SaveAll writes the report in all its forms into out, and for each run a
// trace into the folder of its name there; each whole or not at all.
func (f *Folder) SaveAll(out string) error {
	if err := f.Report.SaveAll(out); err != nil {
		return err
	}
	for i, dir := range f.Dirs {
		if slices.Contains(f.nothing, i) {
			continue
		}
		if err := os.MkdirAll(filepath.Join(out, dir), 0o755); err != nil {
			return err
		}
		err := save(filepath.Join(out, dir, TraceFile), func(w io.Writer) error { return WriteTrace(w, filepath.Join(f.Dir, dir)) })
		if err != nil {
			return err
		}
	}
	return nil
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

// SaveAll writes the report in all its forms into dir, each whole or not at
// all.
func (r Report) SaveAll(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := save(filepath.Join(dir, f.name), func(w io.Writer) error { return f.write(r, w) }); err != nil {
			return err
		}
	}
	return nil
}

// save writes a file, whole or not at all.
func save(path string, write func(io.Writer) error) error {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := renameio.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteText writes the report for a terminal.
func (r Report) WriteText(w io.Writer) {
	w = Plain(w)
	if r.Searches != nil {
		r.WriteSearches(w)
		return
	}
	if r.Repeats != nil {
		r.WriteRepeats(w)
		return
	}
	r.WriteTable(w)
}
