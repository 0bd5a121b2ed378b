// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/kernels"
)

// Route is a back end that makes modules of C sources.
type Route string

const (
	// RouteAuto is kbuild where there are headers, else btf.
	RouteAuto Route = ""
	// RouteKbuild builds against the kernel's headers, as any module is built.
	RouteKbuild Route = "kbuild"
	// RouteBTF builds from the image alone.
	RouteBTF Route = "btf"
	// RouteDiff builds what a diff changes from the kernel's own source. It is
	// not chosen: it is the way of diffs, and of nothing else.
	RouteDiff Route = "diff"
)

// ParseRoute reads a route as a user names it; "auto" is RouteAuto.
func ParseRoute(text string) (Route, error) {
	switch r := Route(text); r {
	case RouteAuto, RouteKbuild, RouteBTF:
		return r, nil
	case "auto":
		return RouteAuto, nil
	}
	return RouteAuto, fmt.Errorf("unknown route %q: auto, kbuild or btf", text)
}

// way is how one source is built for one kit.
type way struct {
	route   Route
	key     string // of all that decides the module's bytes beside the sources
	compile func(ctx context.Context, out string) error
}

// way picks the route.
func (b *Builder) way(ctx context.Context, s *Source, kit *kernels.Kit) (way, error) {
	if s.Kind == Instrument {
		return b.instrumentWay(ctx, s, kit)
	}
	if b.Route != RouteBTF && kit.HeadersDir != "" {
		return way{RouteKbuild, fmt.Sprintf("kbuild v1\n%s %s", kit.Release, kit.Version), func(ctx context.Context, out string) error {
			return b.compile(ctx, s, kit, out)
		}}, nil
	}
	if b.Route == RouteKbuild {
		return way{}, &InputError{s.Path, fmt.Sprintf("%s has no headers package, so kbuild cannot build for it; leave the route to Switchyard (-route auto), bring a built .ko or choose another kernel", kit.Release), nil}
	}
	kernel, err := btf.Open(ctx, b.Store, b.Root, kit)
	if errors.Is(err, btf.ErrNoTypes) {
		return way{}, &InputError{s.Path, fmt.Sprintf("%s has no headers and %v, so C sources cannot be built for it; a module that was built elsewhere (.ko) still works, and so does any kernel with headers (`switchyard kernels list`) or built from source (`switchyard kernels build`)", kit.Release, err), err}
	}
	if err != nil {
		return way{}, err
	}
	return way{RouteBTF, "btf v2\n" + kernel.Key, func(ctx context.Context, out string) error {
		return b.compileBTF(ctx, s, kit, kernel, out)
	}}, nil
}

// compileBTF builds s from the image.
func (b *Builder) compileBTF(ctx context.Context, s *Source, kit *kernels.Kit, kernel *btf.Kernel, out string) error {
	job := btf.Job{}
	var err error
	if job.Name, job.Units, err = s.units(); err != nil {
		return err
	}
	for _, name := range s.Files {
		if filepath.Ext(name) != ".c" && filepath.Ext(name) != ".h" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.Path, name))
		if err != nil {
			return &InputError{s.Path, err.Error(), err}
		}
		job.Files = append(job.Files, btf.File{Name: name, Text: string(text)})
	}
	job.Out = filepath.Join(out, job.Name+".ko")
	built, err := kernel.Build(ctx, b.Store, b.Root, kit, job)
	var refusal *btf.Refusal
	var failed *btf.CompileError
	switch {
	case errors.As(err, &refusal):
		return &InputError{s.Path, refusal.Error(), refusal}
	case errors.As(err, &failed):
		return &BuildError{Source: s.Path, Release: kit.Release, First: ownPaths(failed.First, s, job.Files), Log: ownPaths(failed.Log, s, job.Files)}
	case err != nil:
		return fmt.Errorf("build %s: %w", s.Path, err)
	}
	return writeWarnings(out, warnings(kit, built))
}

// ownPaths puts the user's folder before the names of the user's files.
func ownPaths(log string, s *Source, files []btf.File) string {
	var pairs []string
	for _, f := range files {
		pairs = append(pairs, "\n"+f.Name+":", "\n"+filepath.Join(s.Path, f.Name)+":")
	}
	return strings.TrimPrefix(strings.NewReplacer(pairs...).Replace("\n"+log), "\n")
}

func warnings(kit *kernels.Kit, built *btf.Built) (all []string) {
	if built.NoORC {
		all = append(all, fmt.Sprintf("the form of %s's unwind tables (ORC) is not known, so the module has none: a task asleep in any of its functions stalls the next transition", kit.Release))
	}
	if len(built.Unreliable) > 0 {
		all = append(all, fmt.Sprintf("the unwinder of %s cannot see through %s: a task asleep in it stalls the next transition", kit.Release, strings.Join(built.Unreliable, ", ")))
	}
	return all
}

// warningsFile lies beside a cached module: what its file does not tell.
const warningsFile = "warnings.json"

func writeWarnings(dir string, warnings []string) error {
	if len(warnings) == 0 {
		return nil
	}
	text, err := json.Marshal(warnings)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, warningsFile), text, 0o644)
}

func readWarnings(dir string) (warnings []string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, warningsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return warnings, json.Unmarshal(text, &warnings)
}
