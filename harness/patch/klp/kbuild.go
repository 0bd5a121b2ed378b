// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// inside is where a build's folder stands in the tool root. One fixed place,
// so that the module comes out the same to the byte.
const inside = "/build"

// kbuild is the build's description. The parts are objects already and only
// pass objtool, with kbuild's own options for it: where it is put off until a
// module is linked, the command holds nothing. From 5.18 on the command
// begins with a semicolon of its own, and the options' name has a dash.
func (b *builder) kbuild() string {
	var s strings.Builder
	objects := []string{glueName + ".o"}
	for i := range b.module.Parts {
		objects = append(objects, partName(i)+".o")
	}
	for i := range b.module.Callbacks {
		objects = append(objects, callbacksName(i)+".o")
		fmt.Fprintf(&s, "CFLAGS_%s.o := -include %s/%s\n", callbacksName(i), inside, callbacksHeader)
	}
	fmt.Fprintf(&s, "obj-m := %s.o\n%[1]s-y := %s\n", b.module.Name, strings.Join(objects, " "))
	s.WriteString("quiet_cmd_klp_part = PART    $@\n      cmd_klp_part = cp -f $< $@ $(if $(objtool_args),;) $(cmd_objtool)\n")
	for i := range b.module.Parts {
		fmt.Fprintf(&s, "$(obj)/%s.o: $(obj)/%[1]s.elf FORCE\n\t$(call if_changed,klp_part)\n", partName(i))
	}
	return s.String()
}

// compile runs kbuild on the build's files and gives the linked module.
func (b *builder) compile(ctx context.Context) (*object.Object, error) {
	root, err := b.deps.Root(ctx)
	if err != nil {
		return nil, err
	}
	work, remove, err := b.deps.Store.Scratch("klp")
	if err != nil {
		return nil, err
	}
	defer remove()
	for _, f := range b.files {
		if err := os.WriteFile(filepath.Join(work, f.name), f.data, 0o644); err != nil {
			return nil, store.DiskFull(err, b.deps.Store.Dir)
		}
	}
	var log toolroot.Log
	job := toolroot.Job{
		Argv: []string{"make", "-C", b.kit.HeadersDir, "M=" + inside, "CC=gcc-14", "HOSTCC=gcc-14",
			// The names that livepatch will look up are not exported; finish
			// holds that no other is missing.
			"KBUILD_MODPOST_WARN=1",
			// No descriptions of types either: they come from debug information.
			"CONFIG_DEBUG_INFO_BTF_MODULES=",
			"KCFLAGS=-g0 -fdebug-prefix-map=" + inside + "=.", "modules"},
		Env:    []string{"LC_ALL=C", "KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=switchyard", "KBUILD_BUILD_HOST=switchyard"},
		Dir:    inside,
		Stdout: &log, Stderr: &log,
		Mounts: []toolroot.Bind{{Host: work, Inside: inside, Writable: true}},
	}
	for _, m := range b.kit.Mounts {
		job.Mounts = append(job.Mounts, toolroot.Bind{Host: m.Host, Inside: m.Inside})
	}
	if err := root.Run(ctx, job); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, b.failure(err, log.String())
	}
	return object.Open(filepath.Join(work, b.module.Name+".ko"))
}

var compilerError = regexp.MustCompile(`(?m)^(\S+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$`)

// failure says in the user's terms why make failed.
func (b *builder) failure(err error, log string) error {
	var exit *toolroot.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if strings.Contains(log, "No space left on device") {
		return store.DiskFull(fmt.Errorf("link: %w", syscall.ENOSPC), b.deps.Store.Dir)
	}
	for _, m := range compilerError.FindAllStringSubmatch(log, -1) {
		for _, f := range b.files {
			if f.from != "" && filepath.Base(m[1]) == f.name {
				line, _ := strconv.Atoi(m[2])
				return &refusal.Refusal{Code: refusal.BuildFailed, File: f.from, Line: line, Release: b.kit.Release, Text: m[3]}
			}
		}
	}
	return fmt.Errorf("%w\n%s", err, toolroot.LastWords(log))
}
