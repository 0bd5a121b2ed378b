// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/guard"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Where a kernel's folders stand in the tool root, while it is built and when
// modules are built for it: the .cmd files, and Makefiles in the build folder,
// name them so.
const (
	insideSource = "/usr/src/linux"
	insideBuild  = "/usr/src/build"
	insideKit    = "/usr/src/kit"
)

// build is one kernel being built.
type build struct {
	p        *Provider
	plan     *plan
	root     *toolroot.Root
	source   string // the unpacked tree
	dir      string // builds/KEY: what outlives an interruption
	log      *os.File
	notTaken []string
	meter    *meter
}

func (b *build) out() string { return filepath.Join(b.dir, "out") }

// Build makes the kit of s, or finds it made. Errors: *InputError, *BuildError,
// *kernels.Unfinished when ctx ended, *kernels.Lacking.
func (p *Provider) Build(ctx context.Context, s Spec) (*kernels.Kit, error) {
	k, err := p.build(ctx, s)
	var unfinished *kernels.Unfinished
	if err != nil && ctx.Err() != nil && !errors.As(err, &unfinished) {
		return nil, &kernels.Unfinished{What: strings.TrimSpace("kernel " + s.Version), Command: s.command(), Err: context.Cause(ctx)}
	}
	return k, err
}

func (p *Provider) build(ctx context.Context, s Spec) (*kernels.Kit, error) {
	pl, err := p.plan(ctx, s)
	if err != nil {
		return nil, err
	}
	root, err := p.Root(ctx)
	if err != nil {
		return nil, err
	}
	if pl.compiler, err = compilerID(root); err != nil {
		return nil, err
	}
	pl.setKey()
	if k, ok := p.made(pl); ok {
		return p.withSource(ctx, pl, k)
	}
	unlock, err := p.lock(ctx, pl)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if k, ok := p.made(pl); ok { // by the process that held the lock
		return p.withSource(ctx, pl, k)
	}
	b := &build{p: p, plan: pl, root: root, dir: p.Store.Path(store.Builds, pl.key)}
	k, err := b.run(ctx)
	var input *InputError
	if errors.As(err, &input) {
		guard.RemoveAll(b.dir) // nothing was built that could be gone on with
	}
	if err != nil && ctx.Err() != nil {
		return nil, &kernels.Unfinished{What: pl.what(), Done: b.meter.String(), Command: s.command(), Err: context.Cause(ctx)}
	}
	return k, p.full(err)
}

// made is the kit of a plan if it is there and whole.
func (p *Provider) made(pl *plan) (*kernels.Kit, bool) {
	found, err := filepath.Glob(p.Store.Path(kitKind, "*_"+pl.key))
	if err != nil || len(found) != 1 || !p.Store.Has(kitKind, filepath.Base(found[0])) {
		return nil, false
	}
	p.Store.Used(kitKind, filepath.Base(found[0]))
	k, err := readBuilt(found[0])
	return k.Kit, err == nil
}

// withSource makes sure that a kit's source tree is in the cache, from where it
// may have been pruned.
func (p *Provider) withSource(ctx context.Context, pl *plan, k *kernels.Kit) (*kernels.Kit, error) {
	_, err := p.unpacked(ctx, pl.origin)
	return k, err
}

// run takes the build from wherever it was to its end.
func (b *build) run(ctx context.Context) (*kernels.Kit, error) {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if b.source, err = b.p.unpacked(ctx, b.plan.origin); err != nil {
		return nil, err
	}
	if b.plan.origin.version, err = treeVersion(b.plan.origin.title, b.source); err != nil {
		return nil, err
	}
	if err := b.plan.origin.fits(b.plan.spec.Version); err != nil {
		return nil, err
	}
	if b.log, err = os.OpenFile(filepath.Join(b.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644); err != nil {
		return nil, err
	}
	defer b.log.Close()
	if err := b.writeTicket(); err != nil {
		return nil, err
	}
	b.meter = &meter{what: b.plan.what(), file: filepath.Join(b.dir, progressFile), tell: b.p.Objects}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	b.note()
	if err := b.compile(ctx); err != nil {
		return nil, err
	}
	dir, err := b.p.Store.Make(ctx, kitKind, b.entryName(), func(ctx context.Context, dir string) error { return b.fill(ctx, dir) })
	if err != nil {
		return nil, err
	}
	b.meter.end()
	guard.RemoveAll(b.dir)
	k, err := readBuilt(dir)
	return k.Kit, err
}

func (b *build) entryName() string {
	name := b.plan.origin.version
	if b.plan.label != "" {
		name += "+" + b.plan.label
	}
	return name + "_" + b.plan.key
}

// note tells which wishes of the base this kernel does not have.
func (b *build) note() {
	if b.p.Note == nil || len(b.notTaken) == 0 {
		return
	}
	b.p.Note(fmt.Sprintf("%s does not have %d of the options that kernels built here have: %v", b.plan.what(), len(b.notTaken), b.notTaken))
}

// unpacked gives the folder of an origin's tree, filling it once.
func (p *Provider) unpacked(ctx context.Context, o *origin) (string, error) {
	dir, err := p.Store.Make(ctx, sourceKind, "linux-"+o.hash[:16], func(ctx context.Context, dir string) error {
		path := o.place
		if o.fetch != nil {
			var err error
			if path, err = o.fetch(ctx); err != nil {
				return err
			}
		}
		return o.fill(ctx, path, dir)
	})
	if err == nil && o.fetch != nil {
		guard.RemoveAll(filepath.Dir(p.downloadPath(listing{place: o.place, sum: o.hash})))
	}
	return dir, err
}

// configured is the file that says that the build folder has its config.
const configured = "configured"

// prepare makes the build folder: configured, and with the objects of a
// relative if there is one; or, after an interruption, without what may be
// half written.
func (b *build) prepare(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(b.dir, configured)); err == nil {
		if err := removeTorn(b.out()); err != nil {
			return err
		}
		return b.checkConfig(filepath.Join(b.out(), ".config"))
	}
	guard.RemoveAll(b.out())
	fresh := filepath.Join(b.dir, "config")
	guard.RemoveAll(fresh)
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		return err
	}
	if err := b.configure(ctx, fresh); err != nil {
		return err
	}
	if err := b.begin(ctx, fresh); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, configured), nil, 0o644)
}

// begin makes the build folder out of what was built before, if anything was,
// and the folder fresh, which has the config.
func (b *build) begin(ctx context.Context, fresh string) error {
	started, err := b.inherit(ctx)
	if err != nil {
		return err
	}
	if started {
		b.say("starting from the objects of a build that did not come to its end")
	} else if r, ok := b.relative(filepath.Join(fresh, ".config")); ok {
		b.say("starting from the objects of " + r.Release)
		if err := copyFolder(ctx, r.BuildDir, b.out()); err != nil {
			return err
		}
		started = true
	}
	if !started {
		return os.Rename(fresh, b.out())
	}
	defer guard.RemoveAll(fresh)
	return replaceFile(filepath.Join(fresh, ".config"), filepath.Join(b.out(), ".config"))
}

func replaceFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}

func (b *build) say(text string) { fmt.Fprintf(b.log, "switchyard: %s\n", text) }

// compile brings everything to be up to date.
func (b *build) compile(ctx context.Context) error {
	jobs := "-j" + strconv.Itoa(max(b.p.Jobs, 1))
	if err := b.make(ctx, b.out(), nil, jobs, "prepare"); err != nil {
		return err
	}
	// What make would do, without doing it: the objects that are missing. It
	// stops where a later step needs an earlier one's product, which does no
	// harm: what is counted comes before.
	count := &counter{}
	if err := b.enter(ctx, b.out(), "", count, makeArgv("--dry-run", "--keep-going", "vmlinux", "modules")); err != nil {
		var exit *toolroot.ExitError
		if !errors.As(err, &exit) {
			return err
		}
	}
	b.meter.begin(count.n)
	return b.make(ctx, b.out(), b.meter, jobs, "bzImage", "modules")
}

// makeArgv is make on the kernel's tree.
func makeArgv(args ...string) []string {
	return append([]string{"make", "-C", insideSource, "O=" + insideBuild, "CC=" + compiler, "HOSTCC=" + compiler}, args...)
}

// compiler is the one of the tool root that everything is built with.
const compiler = "gcc-14"

// make runs make in the tool root, with its output in the log.
func (b *build) make(ctx context.Context, out string, also io.Writer, args ...string) error {
	return b.explained(ctx, b.enter(ctx, out, "", b.output(also), makeArgv(args...)))
}

func (b *build) output(also io.Writer) io.Writer {
	if also == nil {
		return b.log
	}
	return io.MultiWriter(b.log, also)
}

// enter runs argv in the tool root with the tree, read-only, and the build
// folder at their places; kit, if not "", is a second folder to write to.
func (b *build) enter(ctx context.Context, out, kit string, said io.Writer, argv []string) error {
	job := toolroot.Job{
		Argv: argv,
		// Reproducible to the byte: no time, no name, no count of builds.
		Env: []string{"KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=switchyard", "KBUILD_BUILD_HOST=switchyard", "KBUILD_BUILD_VERSION=1"},
		Mounts: []toolroot.Bind{
			{Host: b.source, Inside: insideSource},
			{Host: out, Inside: insideBuild, Writable: true},
		},
		Stdout: said, Stderr: said,
	}
	if kit != "" {
		job.Mounts = append(job.Mounts, toolroot.Bind{Host: kit, Inside: insideKit, Writable: true})
	}
	return b.root.Run(ctx, job)
}
