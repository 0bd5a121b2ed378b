// SPDX-License-Identifier: Apache-2.0

// Package patch goes from what a user brings (a diff, a folder with C sources,
// a built .ko) to a module for one kit, with a manifest of what it patches.
//
// What lives here: reading the user's input, building it with the kernel's
// own kbuild inside the tool root, reading a module's contents back. What
// must not: anything that needs a running guest, and any judgement of a run.
package patch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// Kind is the form of what the user brought.
type Kind string

const (
	// Folder holds C sources, and may hold a Kbuild file, probes and a with/
	// folder.
	Folder Kind = "folder"
	// Prebuilt is a .ko file.
	Prebuilt Kind = "module"
	// Diff is a unified diff against the kernel's source.
	Diff Kind = "diff"
	// Instrument is no file but a name, "count:FUNC,FUNC": functions of the
	// kernel to be measured and left as they are.
	Instrument Kind = "instrument"
)

// InputError says that what the user brought cannot be used. The command
// exits with status 2 on it.
type InputError struct {
	Path string // what was brought
	Text string // what is wrong with it, and what to do
	Err  error  // cause, may be nil
}

func (e *InputError) Error() string { return e.Path + ": " + e.Text }
func (e *InputError) Unwrap() error { return e.Err }

// Source is a patch (or a module that must be there first) as the user
// brought it, before any kernel is known.
type Source struct {
	Path   string // absolute
	Kind   Kind
	Name   string   // the module's name, with underscores
	Files  []string // of a folder: what goes into a build, relative, sorted
	With   []*Source
	Probes []Probe
	// Own says of a Prebuilt that it came with its kernel.
	Own bool
	// Origin is what a Prebuilt was made from, where that is known; nil else.
	Origin *Given
	// Cut are the functions that were taken out of a Prebuilt's tables, see
	// Module.Cut.
	Cut  []Function
	diff *diffFile // of a Diff

	instrument *instrument // of an Instrument
}

// withFolder is the subfolder of a patch folder that holds the modules to be
// loaded before the patch.
const withFolder = "with"

// Open is OpenAs for a diff that is meant as it stands.
func Open(path string) (*Source, error) { return OpenAs(path, DiffOptions{}) }

// OpenAs looks at path: a diff, a folder with C sources, a single .c file, a
// .ko, or the name of an instrument (see InstrumentPath). Errors are *InputError, and *refusal.Refusal for a diff that is none.
func OpenAs(path string, o DiffOptions) (*Source, error) {
	if s, err := openInstrument(path); s != nil || err != nil {
		return s, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, &InputError{path, err.Error(), err}
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &InputError{path, "no such file or folder; a patch is a diff, a folder with C sources or a built .ko", err}
	case err != nil:
		return nil, &InputError{path, err.Error(), err}
	case info.IsDir():
		return openFolder(abs)
	case strings.HasSuffix(abs, ".ko"):
		return &Source{Path: abs, Kind: Prebuilt, Name: moduleName(strings.TrimSuffix(filepath.Base(abs), ".ko"))}, nil
	case strings.HasSuffix(abs, ".c"):
		return &Source{Path: filepath.Dir(abs), Kind: Folder, Name: moduleName(strings.TrimSuffix(filepath.Base(abs), ".c")), Files: []string{filepath.Base(abs)}}, nil
	case isDiff(abs):
		return openDiff(abs, o)
	}
	return nil, &InputError{path, "not a patch: expected a diff (.patch, .diff), a folder with C sources, a .c file or a built .ko", nil}
}

func openFolder(dir string) (*Source, error) {
	s := &Source{Path: dir, Kind: Folder, Name: moduleName(filepath.Base(dir))}
	if err := s.readFiles(); err != nil {
		return nil, err
	}
	probes, err := readProbes(filepath.Join(dir, probesFile))
	if err != nil {
		return nil, err
	}
	s.Probes = probes
	s.With, err = openWith(filepath.Join(dir, withFolder))
	return s, err
}

// openWith opens all that lies in dir, which need not be there.
func openWith(dir string) (with []*Source, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &InputError{dir, err.Error(), err}
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // an editor's
		}
		w, err := Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		with = append(with, w)
	}
	return with, nil
}

// Needed are the modules to be loaded before sources, in load order: what
// their with/ folders hold, and before each of those what it needs itself.
func Needed(sources ...*Source) (all []*Source) {
	for _, s := range sources {
		for _, w := range s.With {
			all = append(append(all, Needed(w)...), w)
		}
	}
	return all
}

// readFiles collects what a build of the folder may read. with/ is built on
// its own, dot files are an editor's.
func (s *Source) readFiles() error {
	hasC := false
	err := filepath.WalkDir(s.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(s.Path, path)
		switch {
		case rel != "." && strings.HasPrefix(d.Name(), "."), rel == withFolder && d.IsDir():
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !sourceFile(d.Name()):
			return nil
		}
		hasC = hasC || strings.HasSuffix(rel, ".c")
		s.Files = append(s.Files, rel)
		return nil
	})
	if err != nil {
		return &InputError{s.Path, err.Error(), err}
	}
	if !hasC {
		return &InputError{s.Path, "no C source in this folder; put the livepatch module's .c files there (see docs/writing-a-case.md)", nil}
	}
	sort.Strings(s.Files)
	return nil
}

// sourceFile says whether kbuild may need the file.
func sourceFile(name string) bool {
	switch filepath.Ext(name) {
	case ".c", ".h", ".S":
		return true
	}
	return name == "Kbuild" || name == "Makefile"
}

// ownKbuild is the folder's own build description, "" without one.
func (s *Source) ownKbuild() string {
	for _, name := range []string{"Kbuild", "Makefile"} {
		for _, f := range s.Files {
			if f == name {
				return name
			}
		}
	}
	return ""
}

// kbuild is the build description for a folder without one: all C files make
// one module.
func (s *Source) kbuild() (text string, module string) {
	var objects []string
	clash := false
	for _, f := range s.Files {
		if strings.HasSuffix(f, ".c") {
			o := strings.TrimSuffix(f, ".c") + ".o"
			clash = clash || o == s.Name+".o"
			objects = append(objects, o)
		}
	}
	if len(objects) == 1 && clash {
		return fmt.Sprintf("obj-m := %s.o\n", s.Name), s.Name
	}
	module = s.Name
	if clash { // kbuild takes name.o for the module itself
		module += "_patch"
	}
	return fmt.Sprintf("obj-m := %s.o\n%[1]s-y := %s\n", module, strings.Join(objects, " ")), module
}

var notName = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// moduleName is the name that the kernel gives a module of this file name.
func moduleName(file string) string { return notName.ReplaceAllString(file, "_") }
