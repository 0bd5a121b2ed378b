// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Unit is a translation unit of the kernel: what one run of its compiler made
// one object of.
type Unit struct {
	Source string // "fs/fat/namei_vfat.c", from the top of the source
	Object string // "vmlinux", or the module as /proc/modules names it: "vfat"
	Out    string // "fs/fat/namei_vfat.o", from the top of the build

	argv      []string // the compiler's arguments
	generated string   // folder of generated files that it needs, "" for none
}

// Units are those that the kernel has of a .c file: its own object, of which
// there are several where modules share it, and those of the .c files that
// include it. Errors: *refusal.Refusal if this kernel has none.
func (t *Tree) Units(ctx context.Context, source string) ([]Unit, error) {
	source = path.Clean(source)
	if _, err := t.Path(source); err != nil {
		return nil, err
	}
	if path.Ext(source) != ".c" {
		return nil, &refusal.Refusal{Code: refusal.Assembly, File: source, Release: t.Kit.Release, Text: "it is not C", Advice: "leave the file out of the diff"}
	}
	beside, err := t.beside(source)
	if err != nil {
		return nil, err
	}
	units, err := t.own(ctx, append([]string{source}, beside...))
	if err != nil || len(units) > 0 {
		return units, err
	}
	why := t.notBuilt(source)
	if why.named {
		return nil, why.refusal
	}
	// A file that no Makefile knows may be a part of one in another folder.
	if units, err = t.Includers(ctx, source, mostParts); err != nil || len(units) > 0 {
		return units, err
	}
	return nil, why.refusal
}

// mostParts is how many units one .c file is at most included in.
const mostParts = 50

// beside gives the .c files of a source's folder that include it: kernel/sched
// has such, and compat_binfmt_elf.c is one.
func (t *Tree) beside(source string) (files []string, err error) {
	folder := path.Dir(source)
	entries, err := os.ReadDir(filepath.Join(t.dir, folder))
	if err != nil {
		return nil, nil // a new folder
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		if path.Ext(name) != ".c" || name == source {
			continue
		}
		text, err := t.Read(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(included(text), func(n string) bool { return path.Join(folder, n) == source }) {
			files = append(files, name)
		}
	}
	return files, nil
}

// own gives the units that source files themselves are made into, in the order
// of sources.
func (t *Tree) own(ctx context.Context, sources []string) (units []Unit, err error) {
	commands, generated, err := t.commands(ctx, sources)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		c, ok := commands[objectOf(source)]
		if !ok || !slices.ContainsFunc(c.Argv, func(a string) bool { return a == insideSource+"/"+source }) {
			continue
		}
		for _, object := range objectsOf(c.Argv) {
			units = append(units, Unit{Source: source, Object: object, Out: c.Out, argv: c.Argv, generated: generated})
		}
	}
	return units, nil
}

var modName = regexp.MustCompile(`^-DKBUILD_MOD(NAME|FILE)="?([^"]*)"?$`)

// objectsOf reads off a compiler's arguments what the object becomes a part of.
// kbuild defines MODULE for modules. A file that several share has their names
// in KBUILD_MODFILE ("a:b", before 6.2 "a b") and a KBUILD_MODNAME that is the
// first's or missing.
func objectsOf(argv []string) []string {
	if !slices.Contains(argv, "-DMODULE") {
		return []string{"vmlinux"}
	}
	var name string
	var files []string
	for _, a := range argv {
		switch m := modName.FindStringSubmatch(a); {
		case m == nil:
		case m[1] == "NAME":
			name = m[2]
		default:
			for _, f := range strings.FieldsFunc(m[2], func(r rune) bool { return r == ':' || r == ' ' }) {
				files = append(files, strings.ReplaceAll(path.Base(f), "-", "_"))
			}
		}
	}
	if len(files) > 1 || name == "" {
		return files
	}
	return []string{name}
}
