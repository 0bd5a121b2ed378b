// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Builder builds sources for kits.
type Builder struct {
	Store *store.Store
	// Root opens the tool root; it is called only when something must be
	// compiled.
	Root func(context.Context) (*toolroot.Root, error)
	// Route is the back end for C sources; RouteAuto by default.
	Route Route
	// Archive has the sources of Debian's kernels, for diffs.
	Archive *debian.Archive
	// Progress, if set, hears of sources being unpacked.
	Progress kernels.Progress
}

// Module is a built module for one kit.
type Module struct {
	Path     string // the .ko on the host; the cache keeps it
	Name     string // as in /proc/modules
	SHA256   string // of the file
	Source   *Source
	Manifest Manifest
	Cached   bool // nothing had to be compiled
	Own      bool // it came with the kernel
}

// BuildError is a compilation that came to no module: the compiler's words,
// with the user's own paths.
type BuildError struct {
	Source  string // folder
	Release string
	First   string // the first error line: "FILE:LINE:COL: error: …"
	Log     string // everything that make printed
}

func (e *BuildError) Error() string {
	n := strings.Count(strings.TrimSpace(e.Log), "\n")
	first := e.First
	if first == "" {
		first = lastLine(e.Log)
	}
	return fmt.Sprintf("%s does not build for %s: %s (%d more lines in the build log)", e.Source, e.Release, first, n)
}

// Format prints the whole log for %+v.
func (e *BuildError) Format(f fmt.State, verb rune) {
	io.WriteString(f, e.Error())
	if verb == 'v' && f.Flag('+') {
		io.WriteString(f, "\n"+e.Log)
	}
}

// inside is where a build's folder stands in the tool root. One fixed place,
// so that the module comes out the same to the byte wherever the sources lie.
const inside = "/build"

// Build makes s's module for kit, or finds it made. below are the diffs that s,
// a diff, is applied on: see Below. Errors: *InputError, *BuildError,
// *kernels.Lacking, and for diffs *refusal.Refusal, several through
// go-multierror.
func (b *Builder) Build(ctx context.Context, s *Source, kit *kernels.Kit, below ...*Source) (*Module, error) {
	switch s.Kind {
	case Prebuilt:
		return b.prebuilt(s, kit)
	case Diff:
		return b.buildDiff(ctx, s, below, kit)
	}
	way, err := b.way(ctx, s, kit)
	if err != nil {
		return nil, err
	}
	key, err := s.key(way.key)
	if err != nil {
		return nil, err
	}
	cached := true
	dir, err := b.Store.Make(ctx, "modules", key, func(ctx context.Context, dir string) error {
		cached = false
		return way.compile(ctx, dir)
	})
	if err != nil {
		return nil, err
	}
	m, err := b.loadMade(dir, s, kit)
	if err != nil {
		return nil, err
	}
	m.Cached = cached
	m.Manifest.Route = way.route
	m.Manifest.Warnings, err = readWarnings(dir)
	return m, err
}

// loadMade reads the one module of a cache entry back.
func (b *Builder) loadMade(dir string, s *Source, kit *kernels.Kit) (*Module, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("cache entry %s holds %d modules", dir, len(files))
	}
	return load(files[0], s, kit)
}

// key is a hash over all that decides the module's bytes: sources, and what
// the route says of kit and compiler flags.
func (s *Source) key(route string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", route, s.Name)
	for _, f := range s.Files {
		sum, err := store.HashFile(filepath.Join(s.Path, f))
		if err != nil {
			return "", &InputError{s.Path, err.Error(), err}
		}
		fmt.Fprintf(h, "%s %s\n", sum, f)
	}
	return s.Name + "-" + hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// compile runs kbuild in the tool root on a copy of the sources: kbuild
// writes beside them, and the user's folder is not ours to write to.
func (b *Builder) compile(ctx context.Context, s *Source, kit *kernels.Kit, out string) error {
	root, err := b.Root(ctx)
	if err != nil {
		return err
	}
	work, remove, err := b.Store.Scratch("build")
	if err != nil {
		return err
	}
	defer remove()
	for _, f := range s.Files {
		if err := store.CopyFile(filepath.Join(s.Path, f), filepath.Join(work, f)); err != nil {
			return fmt.Errorf("copy %s: %w", f, err)
		}
	}
	if s.ownKbuild() == "" {
		text, _ := s.kbuild()
		if err := os.WriteFile(filepath.Join(work, "Kbuild"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	var log toolroot.Log
	job := toolroot.Job{
		Argv: []string{"make", "-C", kit.HeadersDir, "M=" + inside, "CC=gcc-14", "HOSTCC=gcc-14",
			// Reproducible to the byte: no absolute path of the build.
			"KCFLAGS=-fdebug-prefix-map=" + inside + "=.", "modules"},
		Env:    []string{"LC_ALL=C", "KBUILD_BUILD_TIMESTAMP=1970-01-01", "KBUILD_BUILD_USER=switchyard", "KBUILD_BUILD_HOST=switchyard"},
		Dir:    inside,
		Stdout: &log, Stderr: &log,
		Mounts: []toolroot.Bind{{Host: work, Inside: inside, Writable: true}},
	}
	for _, m := range kit.Mounts {
		job.Mounts = append(job.Mounts, toolroot.Bind{Host: m.Host, Inside: m.Inside})
	}
	runErr := root.Run(ctx, job)
	text := strings.ReplaceAll(log.String(), inside+"/", s.Path+"/")
	if runErr != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if strings.Contains(text, "No space left on device") {
			return store.DiskFull(fmt.Errorf("build %s for %s: %w", s.Path, kit.Release, syscall.ENOSPC), b.Store.Dir)
		}
		if strings.Contains(text, "rror") || strings.Contains(text, "***") {
			return &BuildError{Source: s.Path, Release: kit.Release, First: firstError(text), Log: text}
		}
		return fmt.Errorf("build %s for %s: %w\n%s", s.Path, kit.Release, runErr, toolroot.LastWords(text))
	}
	made, err := filepath.Glob(filepath.Join(work, "*.ko"))
	if err != nil {
		return err
	}
	if len(made) != 1 {
		return &InputError{s.Path, fmt.Sprintf("its %s makes %d modules; one folder makes one module", s.ownKbuild(), len(made)), nil}
	}
	return takeMade(s.Path, made[0], filepath.Join(out, filepath.Base(made[0])))
}

// prebuilt takes a .ko as it is. Whether the kernel will have it is for the
// caller to ask with CheckVermagic, or for the kernel to say.
func (b *Builder) prebuilt(s *Source, kit *kernels.Kit) (*Module, error) {
	m, err := load(s.Path, s, kit)
	if err != nil {
		return nil, err
	}
	m.Cached, m.Own = true, s.Own
	return m, nil
}

// CheckVermagic says, as an *InputError, that a module was built for another
// kernel, before any guest is started for it.
func (m *Module) CheckVermagic(kit *kernels.Kit) error {
	built, _, _ := strings.Cut(m.Manifest.Vermagic, " ")
	if built == kit.Release {
		return nil
	}
	return &InputError{m.Source.Path, fmt.Sprintf("built for kernel %s, not for %s; build it against that kernel's headers, or choose -kernel %s", built, kit.Release, built), nil}
}

var compilerError = regexp.MustCompile(`(?m)^(\S+:\d+:(?:\d+:)? (?:fatal )?error: .*|ERROR: modpost: .*|.*\*\*\* .*Stop\..*)$`)

// firstError is the first line that tells what is wrong.
func firstError(log string) string { return compilerError.FindString(log) }

func lastLine(log string) string {
	log = strings.TrimSpace(log)
	return log[strings.LastIndexByte(log, '\n')+1:]
}
