// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"fmt"
	"path"
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
	units, log, err := t.own(ctx, []string{source})
	if err != nil {
		return nil, err
	}
	if len(units) > 0 {
		return units, nil
	}
	return nil, t.notBuilt(source, log)
}

// own gives the units that source files themselves are made into.
func (t *Tree) own(ctx context.Context, sources []string) ([]Unit, string, error) {
	commands, generated, log, err := t.commands(ctx, sources)
	if err != nil {
		return nil, "", err
	}
	var units []Unit
	for _, source := range sources {
		c, ok := commands[strings.TrimSuffix(source, path.Ext(source))+".o"]
		if !ok {
			continue
		}
		for _, object := range objectsOf(c.Argv) {
			units = append(units, Unit{Source: source, Object: object, Out: c.Out, argv: c.Argv, generated: generated})
		}
	}
	return units, log, nil
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

// notBuilt says why no object of the kernel is made of a file.
func (t *Tree) notBuilt(source, log string) error {
	return &refusal.Refusal{
		Code: refusal.NotBuilt, File: source, Release: t.Kit.Release,
		Text: fmt.Sprintf("nothing of this kernel is built from it"), Advice: "leave the file out of the diff, or choose a kernel that has it",
	}
}
