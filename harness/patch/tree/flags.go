// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// flagsKind is the kind of cache entries that hold what kbuild said about
// source files.
const flagsKind = "flags"

// command is how kbuild compiles one object.
type command struct {
	Out  string   // the object, relative to the build folder
	Argv []string // of the compiler, without its name
}

// recorder takes the compiler's place while kbuild runs: what would make an
// object of the kernel is written down, with its arguments, in place of being
// done; questions about the compiler it answers truly. So the flags are kbuild's
// own, for this file and this configuration, and asking for them takes the time
// of make alone.
//
// kbuild defines KBUILD_BASENAME for objects of the kernel and nothing else.
const recorder = `#!/bin/sh
case " $*" in
*" -DKBUILD_BASENAME="*" -c "*)
	out=
	for a; do
		[ "$last" = -o ] && out=$a
		last=$a
	done
	printf '%%s\0' "$out" "$@" > %s/record.$$
	: > "$out"
	exit 0
	;;
esac
exec %s "$@"
`

// lister stands before kbuild's own rules in each folder: it writes down which
// objects the configuration has there. For kbuild compiles a single file when it
// is told to, whether the kernel has it or not.
const lister = `include $(srctree)/scripts/Makefile.build
$(file >%s/list.$(subst /,!,$(obj)),$(real-obj-y) $(real-obj-m) $(lib-y) $(extra-y))
`

// commands asks kbuild how the objects of source files are compiled, by
// single-file targets as a person would give them. A file that is not built has
// no command. Also given is a folder with the files that were generated on the
// way, to be laid into a build folder; "" if there are none.
func (t *Tree) commands(ctx context.Context, sources []string) (all map[string]command, generated string, log string, err error) {
	root, cc, err := t.tools(ctx)
	if err != nil {
		return nil, "", "", err
	}
	argv := makeArgv(sources)
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s\n%q", t.id, root.Name, cc.Name, recorder, lister, argv))
	dir, err := t.deps.Store.Make(ctx, flagsKind, hex.EncodeToString(key[:12]), func(ctx context.Context, dir string) error {
		return t.record(ctx, root, cc, argv, dir)
	})
	if err != nil {
		return nil, "", "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "commands.json"))
	if err != nil {
		return nil, "", "", err
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, "", "", fmt.Errorf("%s: %w", dir, err)
	}
	said, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		return nil, "", "", err
	}
	generated = filepath.Join(dir, "generated")
	if _, err := os.Stat(generated); err != nil {
		generated = ""
	}
	return all, generated, string(said), nil
}

// record runs kbuild with the recorder and writes commands.json, log and
// generated/ into dir.
func (t *Tree) record(ctx context.Context, root *toolroot.Root, cc *toolroot.Compiler, argv []string, dir string) error {
	b, err := t.built()
	if err != nil {
		return err
	}
	work, remove, err := t.deps.Store.Scratch("flags")
	if err != nil {
		return err
	}
	defer remove()
	if err := b.arrange(work); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "cc"), fmt.Appendf(nil, recorder, insideBuild, strings.Join(append([]string{cc.CC}, cc.Flags...), " ")), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "lister"), fmt.Appendf(nil, lister, insideBuild), 0o644); err != nil {
		return err
	}
	job := toolroot.Job{
		Argv:   argv,
		Env:    slices.Concat(cc.Env, []string{"KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=switchyard", "KBUILD_BUILD_HOST=switchyard"}),
		Dir:    insideBuild,
		Mounts: append([]toolroot.Bind{{Host: t.dir, Inside: insideSource}, {Host: work, Inside: insideBuild, Writable: true}}, b.mounts...),
	}
	job.Mounts = append(job.Mounts, cc.Mounts...)
	// What would look at the objects has nothing to look at.
	idle := filepath.Join(root.Dir, "usr/bin/true")
	for _, program := range []string{b.scripts + "/basic/fixdep", b.tools + "/objtool/objtool"} {
		job.Mounts = append(job.Mounts, toolroot.Bind{Host: idle, Inside: program})
	}
	var log bytes.Buffer
	job.Stdout, job.Stderr = &log, &log
	runErr := root.Run(ctx, job)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	found, err := readRecords(work)
	if err != nil {
		return err
	}
	listed, err := readLists(work)
	if err != nil {
		return err
	}
	// make fails for a file that is not built, and that is an answer; it has
	// none if it fails for one that every kernel is built from.
	if _, ok := found[always]; !ok || !listed[always] {
		return fmt.Errorf("ask kbuild of kernel %s for the compiler's flags: %w\n%s", t.Kit.Release, runErr, log.String())
	}
	maps.DeleteFunc(found, func(out string, _ command) bool { return !listed[out] })
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "commands.json"), text, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "log"), log.Bytes(), 0o644); err != nil {
		return err
	}
	return keepGenerated(work, filepath.Join(dir, "generated"))
}

// always is an object that every kernel has.
const always = "init/main.o"

// makeArgv asks kbuild for the objects of source files.
func makeArgv(sources []string) []string {
	argv := []string{
		"make", "-f", insideSource + "/Makefile", "-k", "-rR", "--no-print-directory", "--include-dir=" + insideSource,
		// What prepare makes is there, and what it is made from need not be.
		// Some kernels' Makefiles begin by calling make once more, and make
		// does not hand -o on.
		"-o", "prepare", "MAKE=make -o prepare",
		"build=-f " + insideBuild + "/lister obj",
		"ARCH=x86", "CC=" + insideBuild + "/cc", "HOSTCC=gcc-14", always,
	}
	for _, s := range sources {
		argv = append(argv, strings.TrimSuffix(s, path.Ext(s))+".o")
	}
	return argv
}

// readRecords reads what the recorder wrote, by object.
func readRecords(dir string) (map[string]command, error) {
	files, err := filepath.Glob(filepath.Join(dir, "record.*"))
	if err != nil {
		return nil, err
	}
	all := map[string]command{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		words := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		all[words[0]] = command{words[0], words[1:]}
	}
	return all, nil
}

// readLists reads what the lister wrote: the objects of the configuration in
// the folders that kbuild went through.
func readLists(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(dir, "list.*"))
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, out := range strings.Fields(string(text)) {
			all[path.Clean(out)] = true
		}
	}
	return all, nil
}

// keepGenerated copies the headers and sources that kbuild generated on the way.
func keepGenerated(work, to string) error {
	return filepath.WalkDir(work, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		switch rel, err := filepath.Rel(work, file); {
		case err != nil:
			return err
		case filepath.Dir(rel) == "." || !generatedName.MatchString(d.Name()):
			return nil
		default:
			target := filepath.Join(to, rel)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return store.CopyFile(file, target)
		}
	})
}

var generatedName = regexp.MustCompile(`^[^.].*\.(c|h|inc|def|S)$`)
