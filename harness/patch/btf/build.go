// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// inside is where a build stands in the tool root: one fixed place, so that
// the module comes out the same to the byte wherever the sources lie.
const inside = "/build"

// Job is a module to be built.
type Job struct {
	Name  string   // of the module, as the kernel will show it
	Units []string // the C files, by their names in Files
	Files []File   // the units and the headers beside them
	// Out is where the module goes.
	Out string
}

// Built is what there is to say of a built module beside its file.
type Built struct {
	// Unreliable are functions on which the kernel's unwinder gives up: a task
	// asleep in one of them has no reliable stack, so it stalls the next
	// transition.
	Unreliable []string
	// NoORC says that the module has no unwind tables at all, since the form
	// of the kernel's could not be learned: any task asleep in it stalls the
	// next transition.
	NoORC bool
}

// Build compiles a job's sources for the kernel. Errors: *Refusal for what the
// image does not tell, *CompileError, *kernels.Lacking.
func (k *Kernel) Build(ctx context.Context, st *store.Store, tools Tools, kit *kernels.Kit, job Job) (*Built, error) {
	for _, f := range job.Files {
		if refusal := k.inspect(f, kit); refusal != nil {
			return nil, refusal
		}
	}
	root, err := tools(ctx)
	if err != nil {
		return nil, err
	}
	work, remove, err := st.Scratch("btf")
	if err != nil {
		return nil, err
	}
	defer remove()
	b := &builder{kernel: k, kit: kit, root: root, job: job, work: work, st: st, built: Built{NoORC: k.Image.ORC && k.Image.ORCWords == nil}}
	if err := b.writeSources(); err != nil {
		return nil, store.DiskFull(err, st.Dir)
	}
	if err := b.compile(ctx); err != nil {
		return nil, err
	}
	object, err := readObject(filepath.Join(work, "out", "all.o"))
	if err != nil {
		return nil, err
	}
	if refusal := k.unresolved(object, job.Files); refusal != nil {
		return nil, refusal
	}
	if err := b.link(ctx, object); err != nil {
		return nil, err
	}
	return &b.built, os.Rename(filepath.Join(work, "out", "module.ko"), job.Out)
}

// builder is one build under way.
type builder struct {
	kernel *Kernel
	kit    *kernels.Kit
	root   *toolroot.Root
	st     *store.Store
	job    Job
	work   string
	built  Built
}

func (b *builder) writeSources() error {
	prelude, err := b.kernel.prelude(b.job.Files, b.kit)
	if err != nil {
		return err
	}
	prelude += fmt.Sprintf("#define __KERNEL__ 1\n#define MODULE 1\n#define KBUILD_MODNAME %q\n", b.job.Name)
	files := append([]File{{"../prelude.h", prelude}, {"../module.lds", linkerScript}}, b.job.Files...)
	for _, dir := range []string{"src", "out", "include"} {
		if err := os.MkdirAll(filepath.Join(b.work, dir), 0o755); err != nil {
			return err
		}
	}
	for _, f := range files {
		path := filepath.Join(b.work, "src", f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// flags are the compiler's, each group with its reason in the kernel's
// Makefiles. What depends on the kernel's mitigations is added by mitigations.
var flags = []string{
	// The kernel's C: gnu11, unnamed members of tagged types.
	"-std=gnu11", "-fms-extensions", "-fshort-wchar", "-funsigned-char", "-fno-common",
	"-fno-strict-aliasing", "-fno-strict-overflow", "-fno-delete-null-pointer-checks", "-fno-allow-store-data-races",
	// What code in the kernel's half of the address space may use.
	"-m64", "-mcmodel=kernel", "-fno-pic", "-mno-red-zone", "-mno-sse", "-mno-mmx", "-mno-sse2", "-mno-3dnow", "-mno-avx", "-mno-80387",
	"-mpreferred-stack-boundary=3", "-mskip-rax-setup", "-fno-stack-protector", "-fno-stack-clash-protection",
	// Jump tables would need annotations; frames are told by .cfi directives.
	"-fno-jump-tables", "-fasynchronous-unwind-tables",
	// A fentry site at the start of each function, and the list of them.
	"-pg", "-mfentry", "-mrecord-mcount",
	"-O2", "-nostdinc", "-isystem", inside + "/include", "-include", inside + "/prelude.h",
}

// mitigations are the flags that the image shows to be used in it.
func (k *Kernel) mitigations() (all []string) {
	add := func(when bool, flags ...string) {
		if when {
			all = append(all, flags...)
		}
	}
	add(k.Image.Endbr, "-fcf-protection=branch")
	add(!k.Image.Endbr, "-fcf-protection=none")
	add(k.Image.NopMcount, "-mnop-mcount")
	add(k.Image.ReturnThunks, "-mfunction-return=thunk-extern")
	add(k.Image.Retpolines, "-mindirect-branch=thunk-extern", "-mindirect-branch-register", "-mharden-sls=all")
	add(!k.Image.ORC, "-fno-omit-frame-pointer")
	return all
}

// compile makes out/all.o of the sources.
func (b *builder) compile(ctx context.Context) error {
	options := strings.Join(append(append([]string{}, flags...), b.kernel.mitigations()...), " ")
	var compile, assemble strings.Builder
	var objects []string
	for i, unit := range b.job.Units {
		fmt.Fprintf(&compile, "gcc-14 %s -S -o ../out/%d.s ./%s\n", options, i, quote(unit))
		fmt.Fprintf(&assemble, "as --64 -mx86-used-note=no -o %d.o %d.s\n", i, i)
		objects = append(objects, fmt.Sprintf("%d.o", i))
	}
	if log, err := b.run(ctx, "src", compile.String()); err != nil {
		if log == "" || !complaint.MatchString(log) {
			return fmt.Errorf("compile for %s: %w\n%s", b.kit.Release, err, toolroot.LastWords(log))
		}
		return b.kernel.judge(log, b.job.Files)
	}
	for i := range b.job.Units {
		path := filepath.Join(b.work, "out", fmt.Sprintf("%d.s", i))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rewritten, unreliable := b.kernel.rewrite(string(text))
		b.built.Unreliable = append(b.built.Unreliable, unreliable...)
		if err := os.WriteFile(path, []byte(rewritten), 0o644); err != nil {
			return store.DiskFull(err, b.st.Dir)
		}
	}
	fmt.Fprintf(&assemble, "ld -r -m elf_x86_64 -o all.o %s\n", strings.Join(objects, " "))
	if log, err := b.run(ctx, "out", assemble.String()); err != nil {
		return fmt.Errorf("assemble for %s: %w\n%s", b.kit.Release, err, toolroot.LastWords(log))
	}
	return nil
}

// link adds to the object what makes it a module.
func (b *builder) link(ctx context.Context, o *object) error {
	text, err := b.kernel.description(b.job.Name, o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.work, "out", "module.s"), []byte(text), 0o644); err != nil {
		return store.DiskFull(err, b.st.Dir)
	}
	log, err := b.run(ctx, "out", "as --64 -mx86-used-note=no -o module.o module.s\n"+
		"ld -r -m elf_x86_64 -z noexecstack --build-id=none -T ../module.lds -o module.ko all.o module.o\n")
	if err != nil {
		return fmt.Errorf("link for %s: %w\n%s", b.kit.Release, err, toolroot.LastWords(log))
	}
	return nil
}

// run runs a script in a folder of the build.
func (b *builder) run(ctx context.Context, dir, script string) (string, error) {
	var log toolroot.Log
	err := b.root.Run(ctx, toolroot.Job{
		Argv:   []string{"sh", "-e", "-c", script},
		Dir:    inside + "/" + dir,
		Stdout: &log, Stderr: &log,
		Mounts: []toolroot.Bind{
			{Host: b.work, Inside: inside, Writable: true},
			{Host: filepath.Join(b.kernel.Dir, "include"), Inside: inside + "/include"},
		},
	})
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var exit *toolroot.ExitError
	if errors.As(err, &exit) && strings.Contains(log.String(), "No space left on device") {
		err = store.DiskFull(fmt.Errorf("build for %s: %w", b.kit.Release, syscall.ENOSPC), b.st.Dir)
	}
	return hereDot.ReplaceAllString(log.String(), "$1"), err
}

// hereDot is what the compiler's messages begin a source's name with, since
// it was named so: a name may begin with a dash.
var hereDot = regexp.MustCompile(`(?m)(^|from )\./`)

// quote quotes a file's name for the shell.
func quote(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }
