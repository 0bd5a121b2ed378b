// SPDX-License-Identifier: Apache-2.0

// Package unified reads unified diffs, as git and diff -u write them, and
// applies them to sources in memory.
//
// What lives here: parsing (on the go-gitdiff library), the -p level, placing
// hunks with offset and fuzz as patch(1) does, reversing, and telling a diff
// that is applied already from one that does not fit. What must not: what a
// file means to the kernel. Nothing here writes a file.
package unified

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Largest is the size in bytes above which a diff is not read.
const Largest = 8 << 20

// devNull stands for a file that is not there.
const devNull = "/dev/null"

// Diff is a parsed diff.
type Diff struct{ files []file }

// file is one file's part of a diff.
type file struct {
	// old and new are the names as they stand in the diff, "" where the file is
	// not there; short says that they lack the level that git's a/ and b/ are.
	old, new string
	short    bool
	// copied: old stays; copy: it is one, which goes.
	copied, copy bool
	hunks        []*gitdiff.TextFragment
	// binary content cannot be a live patch; what else has no hunks (another
	// mode, an empty file, a bare rename) changes no code.
	binary bool
}

// Parse reads a diff: of git or plain, of several files, with the text of a
// mail around it. The error is a *refusal.Refusal (refusal.BadDiff).
func Parse(text []byte) (*Diff, error) {
	if len(text) > Largest {
		return nil, bad("a diff of %d bytes; %d are read", len(text), Largest)
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, bad("it holds NUL bytes, so it is no text")
	}
	whole, shorts := wholeNames(unixLines(text))
	parsed, _, err := gitdiff.Parse(strings.NewReader(whole))
	if err != nil {
		return nil, bad("%s", strings.TrimPrefix(err.Error(), "gitdiff: "))
	}
	if len(parsed) == 0 {
		return nil, bad("no unified diff in it: no `--- FILE`, `+++ FILE` and `@@`")
	}
	d := &Diff{}
	for _, p := range parsed {
		f := file{old: p.OldName, new: p.NewName, copied: p.IsCopy, hunks: p.TextFragments, binary: p.IsBinary}
		f.short = p.IsRename || p.IsCopy || shorts[p.OldName] || shorts[p.NewName]
		if p.IsNew || f.old == devNull {
			f.old = ""
		}
		if p.IsDelete || f.new == devNull {
			f.new = ""
		}
		for _, name := range []string{f.old, f.new} {
			if err := checkName(name); err != nil {
				return nil, err
			}
		}
		if f.old == "" && f.new == "" {
			return nil, bad("a part of it names no file")
		}
		for i, h := range f.hunks {
			if err := h.Validate(); err != nil {
				return nil, bad("%s: hunk %d: %v", f.name(), i+1, err)
			}
			if h.OldPosition < 0 || h.NewPosition < 0 {
				return nil, bad("%s: hunk %d: a line number below 0", f.name(), i+1)
			}
		}
		d.files = append(d.files, f)
	}
	return d, nil
}

// Names are the files that the diff speaks of, as it writes them, each once.
func (d *Diff) Names() (names []string) {
	seen := map[string]bool{}
	for _, f := range d.files {
		for _, n := range []string{f.old, f.new} {
			if n != "" && !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return names
}

// name is the file's name after the change, or before it for one that goes.
func (f file) name() string {
	if f.new != "" {
		return f.new
	}
	return f.old
}

// unixLines takes the CR from the ends of lines where a mailer or an editor
// of another system put one behind each of the diff's own lines.
func unixLines(text []byte) string {
	s := string(text)
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "+++ ") {
			if strings.HasSuffix(line, "\r\n") {
				return strings.ReplaceAll(s, "\r\n", "\n")
			}
			break
		}
	}
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n" // of a diff that was cut by hand; `\ No newline` is about the file
	}
	return s
}

func bad(format string, args ...any) *refusal.Refusal {
	return &refusal.Refusal{Code: refusal.BadDiff, Text: fmt.Sprintf(format, args...), Advice: "make it anew with `git diff` or `diff -u`"}
}
