// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// BuildError says that something of the kernel's selftests does not compile
// for it.
type BuildError struct {
	What, Release string
	Log           string // all that make or the compiler said
}

func (e *BuildError) Error() string {
	first := firstError.FindString(e.Log)
	if first == "" {
		first = toolroot.LastWords(e.Log)
	}
	return fmt.Sprintf("%s of %s's selftests: %s", e.What, e.Release, first)
}

var firstError = regexp.MustCompile(`(?m)^.*(?:error:|ERROR:|\*\*\*).*$`)

// modules are the test modules of a kernel and where they go.
type modules struct {
	from    string   // ModulesKernel or ModulesBuilt
	folders []string // sources that decide what they are
	put     func(ctx context.Context, k kbuild, dir string) error
}

// findModules finds the test modules. Since 6.9 (commit c4bbe83d27c2,
// livepatch: Move tests from lib/livepatch to selftests/livepatch) they are
// built beside the scripts, which load them by path; before, they are part of
// the kernel (CONFIG_TEST_LIVEPATCH), loaded by name, and a kernel that comes
// without them gets them all the same, from the same source.
func (b *Builder) findModules(ctx context.Context, kit *kernels.Kit, scripts string) (modules, error) {
	beside := filepath.Join(scripts, besideDir)
	if _, err := os.Stat(beside); err == nil {
		return modules{ModulesBuilt, []string{beside}, func(ctx context.Context, k kbuild, dir string) error {
			to := filepath.Join(dir, Dir, besideDir)
			return k.modules(ctx, beside, to)
		}}, nil
	}
	source, err := b.Source(ctx, kit, modulesDir)
	if err != nil {
		return modules{}, fmt.Errorf("test modules of %s: %w", kit.Release, err)
	}
	installed := filepath.Join("lib/modules", kit.Release, "extra")
	if !kit.Can(kernels.SelftestModules) {
		return modules{ModulesBuilt, []string{source}, func(ctx context.Context, k kbuild, dir string) error {
			if err := k.modules(ctx, source, filepath.Join(dir, installed)); err != nil {
				return err
			}
			return k.depmod(ctx, dir)
		}}, nil
	}
	return modules{ModulesKernel, nil, func(ctx context.Context, k kbuild, dir string) error {
		to := filepath.Join(dir, installed)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		sources, err := filepath.Glob(filepath.Join(source, "*.c"))
		if err != nil {
			return err
		}
		for _, s := range sources {
			name := strings.TrimSuffix(filepath.Base(s), ".c")
			files, _, err := kit.ModuleFiles(name)
			if err != nil {
				return fmt.Errorf("test modules of %s: %w", kit.Release, err)
			}
			for _, f := range files {
				content, err := kernels.ReadModule(f)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(to, kernels.ModuleName(f)+".ko"), content, 0o644); err != nil {
					return err
				}
			}
		}
		return k.depmod(ctx, dir)
	}}, nil
}

// kbuild compiles for one kernel in the tool root.
type kbuild struct {
	builder *Builder
	root    *toolroot.Root
	kit     *kernels.Kit
}

// inside is where a build's folder stands in the tool root: one place, for
// modules that come out the same wherever they are built.
const inside = "/build"

func (k kbuild) job(work string, log *toolroot.Log, argv ...string) toolroot.Job {
	j := toolroot.Job{
		Argv: argv, Dir: inside,
		Env:    []string{"KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=switchyard", "KBUILD_BUILD_HOST=switchyard"},
		Mounts: []toolroot.Bind{{Host: work, Inside: inside, Writable: true}},
		Stdout: log, Stderr: log,
	}
	for _, m := range k.kit.Mounts {
		j.Mounts = append(j.Mounts, toolroot.Bind{Host: m.Host, Inside: m.Inside})
	}
	return j
}

// run runs a job; log is its output.
func (k kbuild) run(ctx context.Context, what string, j toolroot.Job, log *toolroot.Log) error {
	err := k.root.Run(ctx, j)
	var exit *toolroot.ExitError
	if errors.As(err, &exit) {
		return store.DiskFull(&BuildError{What: what, Release: k.kit.Release, Log: log.String()}, k.builder.Store.Dir)
	}
	return err
}

// modules builds the modules of a folder of the kernel's source against its
// headers, out of tree, and puts them into the folder to.
func (k kbuild) modules(ctx context.Context, source, to string) error {
	if k.kit.HeadersDir == "" {
		return &kernels.Lacking{What: "headers of " + k.kit.Release + ", to build its test modules against", Remedy: "choose a kernel with headers (`switchyard kernels list`)"}
	}
	work, remove, err := k.builder.Store.Scratch("selftests")
	if err != nil {
		return err
	}
	defer remove()
	if err := os.CopyFS(work, os.DirFS(source)); err != nil {
		return fmt.Errorf("copy %s: %w", source, err)
	}
	var log toolroot.Log
	// The option is what lib/livepatch/Makefile asks for; beside the scripts
	// it is obj-m.
	j := k.job(work, &log, "make", "-C", k.kit.HeadersDir, "M="+inside, "CC=gcc-14", "HOSTCC=gcc-14", "CONFIG_TEST_LIVEPATCH=m",
		"KCFLAGS=-fdebug-prefix-map="+inside+"=.", "modules")
	if err := k.run(ctx, "the test modules", j, &log); err != nil {
		return err
	}
	made, err := filepath.Glob(filepath.Join(work, "*.ko"))
	if err != nil {
		return err
	}
	if len(made) == 0 {
		return fmt.Errorf("test modules of %s: make made none of %s", k.kit.Release, source)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, f := range made {
		if err := copyFile(f, filepath.Join(to, filepath.Base(f))); err != nil {
			return err
		}
	}
	return nil
}

// depmod writes modules.dep, by which modprobe finds modules, below
// lib/modules of dir.
func (k kbuild) depmod(ctx context.Context, dir string) error {
	var log toolroot.Log
	return k.run(ctx, "the list of modules", k.job(dir, &log, "depmod", "-b", inside, k.kit.Release), &log)
}

// programs compiles the programs called names, each of one C file in scripts,
// into the folder to.
func (k kbuild) programs(ctx context.Context, scripts string, names []string, to string) error {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(scripts, name+".c")); errors.Is(err, fs.ErrNotExist) {
			continue // made by rules of its own
		}
		var log toolroot.Log
		j := k.job(to, &log, "gcc", "-O2", "-o", name, "/scripts/"+name+".c")
		j.Mounts = append(j.Mounts, toolroot.Bind{Host: scripts, Inside: "/scripts"})
		if err := k.run(ctx, "program "+name, j, &log); err != nil {
			return err
		}
	}
	return nil
}
