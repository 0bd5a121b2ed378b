// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

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
$(file >` + insideBuild + `/list.$(subst /,!,$(obj)),$(real-obj-y) $(real-obj-m) $(lib-y) $(extra-y))
`

// walker does so in all folders, and nothing else.
const walker = `switchyard-walk:
` + lister + `switchyard-walk: $(subdir-ym) ; @:
`

// question is what kbuild is asked.
type question struct {
	rules string   // what stands in for kbuild's rules of a folder
	goals []string // make's
}

// about asks for the flags of the objects of source files.
func about(sources []string) question {
	q := question{rules: lister, goals: []string{always}}
	for _, s := range sources {
		q.goals = append(q.goals, objectOf(s))
	}
	return q
}

// everything asks for all objects. The goal that goes through all folders is
// "descend" in 5.10 and "." since 6.1, where the other one is an error that -k
// passes over.
var everything = question{rules: walker, goals: []string{"descend", "."}}

// always is an object that every kernel has.
const always = "init/main.o"

// objectOf names the object that a source file is made into.
func objectOf(source string) string { return strings.TrimSuffix(source, path.Ext(source)) + ".o" }

func (q question) argv() []string {
	argv := []string{
		"make", "-f", insideSource + "/Makefile", "-k", "-rR", "--no-print-directory", "--include-dir=" + insideSource,
		// What prepare makes is there, and what it is made from need not be.
		// Some kernels' Makefiles begin by calling make once more, and make
		// does not hand -o on.
		"-o", "prepare", "MAKE=make -o prepare",
		"build=-f " + insideBuild + "/rules obj",
		"ARCH=x86", "CC=" + insideBuild + "/cc", "HOSTCC=gcc-14",
	}
	return append(argv, q.goals...)
}

// answer is what came of it.
type answer struct {
	objects  map[string]bool    // of the configuration, in the folders that make went through
	commands map[string]command // by object, of those that were goals
	log      string
}

// kbuild asks q in the folder work, where what was generated on the way is left.
func (t *Tree) kbuild(ctx context.Context, q question, work string) (*answer, error) {
	root, cc, err := t.tools(ctx)
	if err != nil {
		return nil, err
	}
	b, err := t.built()
	if err != nil {
		return nil, err
	}
	if err := b.arrange(work); err != nil {
		return nil, err
	}
	compiler := strings.Join(append([]string{cc.CC}, cc.Flags...), " ")
	if err := os.WriteFile(filepath.Join(work, "cc"), fmt.Appendf(nil, recorder, insideBuild, compiler), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, "rules"), []byte(q.rules), 0o644); err != nil {
		return nil, err
	}
	var log toolroot.Log
	job := toolroot.Job{
		Argv: q.argv(), Dir: insideBuild, Stdout: &log, Stderr: &log,
		Env: slices.Concat(cc.Env, []string{"KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=switchyard", "KBUILD_BUILD_HOST=switchyard"}),
		Mounts: slices.Concat(b.mounts, cc.Mounts, []toolroot.Bind{
			{Host: t.dir, Inside: insideSource}, {Host: work, Inside: insideBuild, Writable: true},
		}),
	}
	// What would look at the objects has nothing to look at.
	idle := filepath.Join(root.Dir, "usr/bin/true")
	for _, program := range []string{b.scripts + "/basic/fixdep", b.tools + "/objtool/objtool"} {
		job.Mounts = append(job.Mounts, toolroot.Bind{Host: idle, Inside: program})
	}
	runErr := root.Run(ctx, job)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	a := &answer{log: log.String()}
	if a.commands, err = readRecords(work); err != nil {
		return nil, err
	}
	if a.objects, err = readLists(work); err != nil {
		return nil, err
	}
	// make fails for a file that is not built, and that is an answer; it has
	// none if it fails for one that every kernel is built from.
	if !a.objects[always] {
		return nil, fmt.Errorf("ask kbuild about kernel %s: %w\n%s", t.Kit.Release, runErr, toolroot.LastWords(a.log))
	}
	return a, nil
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

// readLists reads what the lister wrote.
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
