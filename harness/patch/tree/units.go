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
	if r := t.elsewhere(source); r != nil {
		return nil, r
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

// elsewheres are the folders with code that is not a running kernel's, and the
// files in them that are. The longest that fits counts.
var elsewheres = []struct {
	in   string
	code refusal.Code // "" for code of the kernel
	text string
}{
	{"arch/x86/entry/vdso/", refusal.VDSO, "it runs in user space, as a part of every process"},
	{"arch/x86/entry/vdso/vma.c", "", ""},
	{"arch/x86/entry/vdso/extable.c", "", ""},
	{"arch/x86/boot/", refusal.InitExit, "it runs before the kernel does, and never again"},
	{"arch/x86/realmode/rm/", refusal.InitExit, "it runs before the kernel does on each CPU"},
	{"drivers/firmware/efi/libstub/", refusal.InitExit, "it runs before the kernel does, and never again"},
	{"arch/x86/purgatory/", refusal.NotCode, "it runs between two kernels"},
	{"arch/x86/tools/", refusal.NotCode, "it is a tool of the build"},
	{"scripts/", refusal.NotCode, "it is a tool of the build"},
	{"tools/", refusal.NotCode, "it is a program of user space"},
	{"usr/", refusal.NotCode, "it is a program of user space"},
}

// elsewhere refuses files that no part of a running kernel is made of.
func (t *Tree) elsewhere(source string) error {
	r := &refusal.Refusal{File: source, Release: t.Kit.Release, Advice: "leave the file out of the diff"}
	longest := 0
	for _, e := range elsewheres {
		if strings.HasPrefix(source, e.in) && len(e.in) > longest {
			longest, r.Code, r.Text = len(e.in), e.code, e.text
		}
	}
	switch ext := path.Ext(source); {
	case r.Code != "":
		return r
	case ext == ".S" || ext == ".s":
		r.Code, r.Text = refusal.Assembly, "it is assembly, which has no functions that could be compared and hooked"
		return r
	case ext != ".c":
		r.Code, r.Text = refusal.NotCode, "no object is made of it"
		return r
	}
	return nil
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
