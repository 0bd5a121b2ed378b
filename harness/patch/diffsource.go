// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// DiffOptions say how diffs are meant. They mean nothing to other sources.
type DiffOptions struct {
	// Reverse takes the diff's change out, as patch -R.
	Reverse bool
	// Level is that of patch -p; nil: found by the names of the source's files.
	Level *int
	// Replace makes the module one that replaces all patches before it
	// (atomic replace). Its diff holds against the kernel's own source, where a
	// diff on a stack of others holds against the source as those left it.
	Replace bool
	// Late lets a text that is no diff be opened. Building refuses it, so that
	// it is told as any other refusal is.
	Late bool
}

// diffFile is a diff that was read.
type diffFile struct {
	DiffOptions
	text   []byte
	parsed *unified.Diff // in the direction in which it is to be applied
	// unreadable is why parsed is nil; only with Late.
	unreadable error
	// callbacks is the C file beside the diff, "" without one.
	callbacks string
}

// Beside a diff fix.patch, with its name in front of each:
const (
	callbacksSuffix = ".klp.c"       // C code of the patch's own: callbacks, shadow variables
	probesSuffix    = ".probes.json" // as a folder's probes.json
	withSuffix      = ".with"        // as a folder's with/
)

// isDiff goes by the name.
func isDiff(path string) bool {
	return strings.HasSuffix(path, ".patch") || strings.HasSuffix(path, ".diff")
}

// openDiff reads a diff and what lies beside it. Errors are *InputError, and
// *refusal.Refusal for what is no diff.
func openDiff(path string, o DiffOptions) (*Source, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > unified.Largest {
		return nil, &InputError{path, fmt.Sprintf("a diff of %d bytes; %d are read", info.Size(), unified.Largest), nil}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &InputError{path, err.Error(), err}
	}
	d := &diffFile{DiffOptions: o, text: text}
	if d.parsed, err = unified.Parse(text); err != nil {
		if err = atPath(path, err); !o.Late {
			return nil, err
		}
		d.unreadable = err
	} else if o.Reverse {
		d.parsed = d.parsed.Reverse()
	}
	base := strings.TrimSuffix(path, filepath.Ext(path))
	s := &Source{Path: path, Kind: Diff, Name: moduleName(filepath.Base(base)), diff: d}
	if _, err := os.Stat(base + callbacksSuffix); err == nil {
		d.callbacks = base + callbacksSuffix
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, &InputError{base + callbacksSuffix, err.Error(), err}
	}
	if s.Probes, err = readProbes(base + probesSuffix); err != nil {
		return nil, err
	}
	s.With, err = openWith(base + withSuffix)
	return s, err
}

// Unreadable is why s is no diff although it should be one: a *refusal.Refusal.
// nil of all others.
func (s *Source) Unreadable() error {
	if s.diff == nil {
		return nil
	}
	return s.diff.unreadable
}

// atPath puts the diff's own path into refusals that know of no other.
func atPath(path string, err error) error {
	for _, r := range refusal.All(err) {
		if r.File == "" {
			r.File = path
		}
	}
	return err
}

// Below are the diffs that s[i], one of a stack in order, is applied on: those
// before it, but for one that replaces them all.
func Below(stack []*Source, i int) (below []*Source) {
	if stack[i].Kind != Diff || stack[i].diff.Replace {
		return nil
	}
	for _, s := range stack[:i] {
		if s.Kind != Diff {
			continue
		}
		if s.diff.Replace {
			below = nil
		}
		below = append(below, s)
	}
	return below
}
