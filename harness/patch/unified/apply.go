// SPDX-License-Identifier: Apache-2.0

package unified

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Result is what a diff makes of a source.
type Result struct {
	Level int       // of -p, as given or found
	Files []Changed // by name
}

// Changed is a file that a diff changes, makes or removes.
type Changed struct {
	Name   string
	Before []byte // nil: it was not there
	After  []byte // nil: it goes
	Hunks  []Placed

	// moved has for each line of Before the one of After that it became, 0 for
	// one that went; nil: they are the same lines.
	moved []int
}

// Moved is the line of the file after the change that a line before it
// became; false for one that is gone. 1 is the first.
func (c Changed) Moved(line int) (int, bool) {
	switch {
	case c.moved == nil:
		return line, true
	case line < 1 || line > len(c.moved):
		return 0, false
	}
	return c.moved[line-1], c.moved[line-1] > 0
}

// Then is c and next, which changes what c left, as one change.
func (c Changed) Then(next Changed) Changed {
	next.Before, next.moved = c.Before, c.through(next.moved)
	return next
}

// through gives moved lines after c's own.
func (c Changed) through(moved []int) []int {
	if c.moved == nil || moved == nil {
		return slices.Concat(c.moved, moved)
	}
	all := make([]int, len(c.moved))
	for i, line := range c.moved {
		if line > 0 && line <= len(moved) {
			all[i] = moved[line-1]
		}
	}
	return all
}

// Placed is where a hunk found its place.
type Placed struct {
	Line   int // in the file before, of the hunk's first line; 1 is the first
	Offset int // lines from where the diff says
	Fuzz   int // lines of context at each end that did not fit, 0 to 2
}

// Overlay is the changed files by name; nil for one that goes.
func (r *Result) Overlay() map[string][]byte {
	all := map[string][]byte{}
	for _, c := range r.Files {
		all[c.Name] = c.After
	}
	return all
}

// Notes say, a sentence each, which hunks did not stand where the diff says;
// fuzzy are those of which context did not fit.
func (r *Result) Notes() (notes, fuzzy []string) {
	for _, c := range r.Files {
		for i, h := range c.Hunks {
			switch {
			case h.Fuzz > 0:
				fuzzy = append(fuzzy, fmt.Sprintf("%s: hunk %d fits line %d only without %d lines of its context (fuzz %[4]d): look whether that is the place meant", c.Name, i+1, h.Line, h.Fuzz))
			case h.Offset != 0:
				notes = append(notes, fmt.Sprintf("%s: hunk %d fits line %d, %+d lines from where the diff has it", c.Name, i+1, h.Line, h.Offset))
			}
		}
	}
	return notes, fuzzy
}

// Reverse is the diff that takes d's change back, as patch -R.
func (d *Diff) Reverse() *Diff {
	back := &Diff{}
	for _, f := range slices.Backward(d.files) {
		r := f
		r.old, r.new = f.new, f.old
		if f.copied {
			r.old, r.new, r.copied, r.copy = f.new, "", false, true
		}
		r.hunks = nil
		for _, h := range f.hunks {
			n := *h
			n.OldPosition, n.OldLines, n.NewPosition, n.NewLines = h.NewPosition, h.NewLines, h.OldPosition, h.OldLines
			n.LinesAdded, n.LinesDeleted = h.LinesDeleted, h.LinesAdded
			n.Lines = slices.Clone(h.Lines)
			for i, l := range n.Lines {
				switch l.Op {
				case gitdiff.OpAdd:
					n.Lines[i].Op = gitdiff.OpDelete
				case gitdiff.OpDelete:
					n.Lines[i].Op = gitdiff.OpAdd
				}
			}
			r.hunks = append(r.hunks, &n)
		}
		back.files = append(back.files, r)
	}
	return back
}

// Apply applies d to the source that read gives, by names from its top;
// read's error is fs.ErrNotExist for a file that is not there. level is that
// of patch -p, or Auto. Errors are *refusal.Refusal, several through
// go-multierror: AlreadyApplied, HunkFailed, BadDiff; and read's own.
func (d *Diff) Apply(read func(name string) ([]byte, error), level int) (*Result, error) {
	if level == Auto {
		level = d.level(func(name string) bool {
			_, err := read(name)
			return err == nil
		})
	}
	w := &work{read: read, now: map[string]*Changed{}}
	r := &Result{Level: level}
	var errs *multierror.Error
	for _, f := range d.files {
		if err := w.file(f, level); err != nil {
			var refused *refusal.Refusal
			if !errors.As(err, &refused) {
				return nil, err
			}
			errs = multierror.Append(errs, err)
		}
	}
	if errs != nil {
		return nil, together(errs)
	}
	for _, c := range w.now {
		if !bytes.Equal(c.Before, c.After) || (c.Before == nil) != (c.After == nil) {
			r.Files = append(r.Files, *c)
		}
	}
	slices.SortFunc(r.Files, func(a, b Changed) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

// together makes one refusal of several of which each says that the diff is
// applied already.
func together(errs *multierror.Error) error {
	all := refusal.All(errs)
	if slices.ContainsFunc(all, func(r *refusal.Refusal) bool { return r.Code != refusal.AlreadyApplied }) && len(all) > 1 {
		return errs
	}
	for _, r := range all[1:] {
		all[0].Text += ", in " + r.File + " too"
	}
	return all[0]
}

// work is a source while a diff is applied to it.
type work struct {
	read func(string) ([]byte, error)
	now  map[string]*Changed
}

// get is a file as it is by now; its After is nil if it is not there.
func (w *work) get(name string) (*Changed, error) {
	if c := w.now[name]; c != nil {
		return c, nil
	}
	text, err := w.read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		text = nil
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case text == nil:
		text = []byte{}
	}
	c := &Changed{Name: name, Before: text, After: text}
	w.now[name] = c
	return c, nil
}

func (w *work) file(f file, level int) error {
	from, to := strip(f.old, level, f.short), strip(f.new, level, f.short)
	if (f.old != "" && from == "") || (f.new != "" && to == "") {
		return &refusal.Refusal{Code: refusal.BadDiff, File: f.name(), Text: fmt.Sprintf("the name has not %d levels to strip", level), Advice: "give another -p, or leave it to Switchyard"}
	}
	if f.binary {
		return &refusal.Refusal{Code: refusal.BadDiff, File: f.name(), Text: "a binary change, which no live patch can carry", Advice: "leave it out of the diff"}
	}
	if from == "" {
		return w.create(f, to)
	}
	c, err := w.get(from)
	if err != nil {
		return err
	}
	if c.After == nil {
		return w.missing(f, from, to)
	}
	text, placed, moved, err := w.change(f, from, c)
	if err != nil {
		return err
	}
	switch {
	case to == "":
		if len(text) > 0 && !f.copy {
			return &refusal.Refusal{Code: refusal.HunkFailed, File: from, Text: "the diff removes the file, and this source has more in it than the diff knows", Advice: "make the diff against this kernel's source"}
		}
		c.After, c.Hunks = nil, append(c.Hunks, placed...)
	case to == from:
		c.After, c.Hunks, c.moved = text, append(c.Hunks, placed...), c.through(moved)
	default:
		target, err := w.get(to)
		if err != nil {
			return err
		}
		if target.After != nil {
			return &refusal.Refusal{Code: refusal.HunkFailed, File: to, Text: "the diff gives this name to another file, and there is one of the name", Advice: "make the diff against this kernel's source"}
		}
		target.After, target.Hunks = text, placed
		if !f.copied {
			c.After = nil
		}
	}
	return nil
}

// create makes a new file.
func (w *work) create(f file, name string) error {
	var text strings.Builder
	for _, h := range f.hunks {
		for _, l := range h.Lines {
			text.WriteString(l.Line)
		}
	}
	c, err := w.get(name)
	switch {
	case err != nil:
		return err
	case c.After == nil:
		c.After = []byte(text.String())
		return nil
	case string(c.After) == text.String():
		return alreadyApplied(name, 0)
	}
	return &refusal.Refusal{Code: refusal.HunkFailed, File: name, Text: "the diff makes this file anew, and there is one of the name", Advice: "make the diff against this kernel's source"}
}

// missing says why a file that the diff changes is not there.
func (w *work) missing(f file, from, to string) error {
	if to != "" && to != from {
		if target, err := w.get(to); err == nil && target.After != nil {
			if _, _, _, err := placeAll(target.After, reversed(f).hunks, 0); err == nil {
				return alreadyApplied(to, 0)
			}
		}
	}
	if to == "" {
		return alreadyApplied(from, 0)
	}
	return &refusal.Refusal{Code: refusal.HunkFailed, File: from, Text: "this kernel's source has no such file", Advice: "look for the file's name in this version, and for the -p level that the diff was made with"}
}

func reversed(f file) file { return (&Diff{[]file{f}}).Reverse().files[0] }

func alreadyApplied(name string, line int) *refusal.Refusal {
	return &refusal.Refusal{Code: refusal.AlreadyApplied, File: name, Line: line, Text: "the diff is applied already: this kernel's source has the change", Advice: "there is nothing to patch; to take the change out, reverse the diff (-R)"}
}

// change places the file's hunks. The order of the attempts matters: a fix
// that is in already must not go in again just because two lines of context
// are allowed to differ.
func (w *work) change(f file, name string, c *Changed) ([]byte, []Placed, []int, error) {
	text, placed, moved, err := placeAll(c.After, f.hunks, 0)
	if back, backPlaced, _, backErr := placeAll(c.After, reversed(f).hunks, 0); backErr == nil && len(f.hunks) > 0 && !bytes.Equal(back, c.After) {
		if err != nil || offsets(backPlaced) < offsets(placed) {
			return nil, nil, nil, alreadyApplied(name, backPlaced[0].Line)
		}
	}
	for fuzz := 1; err != nil && fuzz <= mostFuzz; fuzz++ {
		text, placed, moved, err = placeAll(c.After, f.hunks, fuzz)
	}
	var failed *failedHunk
	if errors.As(err, &failed) {
		return nil, nil, nil, failed.refusal(name)
	}
	return text, placed, moved, err
}

func offsets(placed []Placed) (sum int) {
	for _, p := range placed {
		sum += max(p.Offset, -p.Offset)
	}
	return sum
}
