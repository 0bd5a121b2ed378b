// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// manyMore is how many times the limit the files that may include a header are
// when nobody asks the preprocessor any more which of them do.
const manyMore = 8

// Includers gives the kernel's units that include a header (or a .c file),
// directly or by others, ordered by source. A header that nothing includes has
// none. Errors: *refusal.Refusal (TooMany) when they are more than limit.
func (t *Tree) Includers(ctx context.Context, header string, limit int) ([]Unit, error) {
	header = path.Clean(header)
	if _, err := t.Path(header); err != nil {
		return nil, err
	}
	candidates, certain, err := t.mayInclude(ctx, header)
	if err != nil {
		return nil, err
	}
	if certain && len(candidates) > limit || len(candidates) > manyMore*limit {
		return nil, t.tooMany(header, len(candidates), limit)
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	units, err := t.own(ctx, candidates)
	if err != nil || certain {
		return units, err
	}
	return t.including(ctx, units, header, limit)
}

// Reach gives the files of the source that may include a header, directly or by
// others, as the texts say: more than really do. They are sorted.
func (t *Tree) Reach(ctx context.Context, header string) ([]string, error) {
	header = path.Clean(header)
	if _, err := t.Path(header); err != nil {
		return nil, err
	}
	objects, err := t.objects(ctx)
	if err != nil {
		return nil, err
	}
	graph, err := t.includes(ctx, objects)
	if err != nil {
		return nil, err
	}
	reached := graph.reaching(header)
	delete(reached, header)
	return slices.Sorted(maps.Keys(reached)), nil
}

// Including is Includers among the given .c files only.
func (t *Tree) Including(ctx context.Context, header string, sources []string, limit int) ([]Unit, error) {
	if t.Kit.BuildDir != "" {
		known, err := recorded(t.Kit.BuildDir, path.Clean(header))
		if err != nil {
			return nil, err
		}
		sources = slices.DeleteFunc(slices.Clone(sources), func(s string) bool { return !slices.Contains(known, s) })
	}
	if len(sources) > manyMore*limit {
		return nil, t.tooMany(header, len(sources), limit)
	}
	if len(sources) == 0 {
		return nil, nil
	}
	units, err := t.own(ctx, sources)
	if err != nil {
		return nil, err
	}
	return t.including(ctx, units, path.Clean(header), limit)
}

func (t *Tree) tooMany(header string, n, limit int) error {
	return &refusal.Refusal{
		Code: refusal.TooMany, File: header, Release: t.Kit.Release,
		Text:   fmt.Sprintf("%d files of this kernel include it, more than the %d that a live patch may change", n, limit),
		Advice: "make the change in the .c files that need it",
	}
}

// including keeps the units that the preprocessor finds to include a header.
func (t *Tree) including(ctx context.Context, units []Unit, header string, limit int) ([]Unit, error) {
	yes := make([]bool, len(units))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, u := range units {
		g.Go(func() error {
			files, err := t.dependencies(ctx, u)
			yes[i] = slices.Contains(files, header)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var all []Unit
	for i, u := range units {
		if yes[i] {
			all = append(all, u)
		}
	}
	if len(all) > limit {
		return nil, t.tooMany(header, len(all), limit)
	}
	return all, nil
}

// mayInclude gives the .c files of the kernel's objects that may include a
// header. certain says that they do: a whole build left lists of what each
// object was made from.
func (t *Tree) mayInclude(ctx context.Context, header string) (sources []string, certain bool, err error) {
	if t.Kit.BuildDir != "" {
		sources, err = recorded(t.Kit.BuildDir, header)
		return sources, true, err
	}
	objects, err := t.objects(ctx)
	if err != nil {
		return nil, false, err
	}
	graph, err := t.includes(ctx, objects)
	if err != nil {
		return nil, false, err
	}
	reached := graph.reaching(header)
	built := map[string]bool{}
	for _, o := range objects {
		built[o] = true
	}
	for _, f := range slices.Sorted(maps.Keys(reached)) {
		if strings.HasSuffix(f, ".c") && f != header && built[objectOf(f)] {
			sources = append(sources, f)
		}
	}
	return sources, false, nil
}

// recorded finds the sources of the objects in a build folder that a file was
// included in, by the .cmd files that kbuild writes beside them.
func recorded(build, header string) (sources []string, err error) {
	line := []byte("\n  " + insideSource + "/" + header + " ")
	err = filepath.WalkDir(build, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), ".") || !strings.HasSuffix(d.Name(), ".o.cmd") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, line) {
			return err
		}
		_, rest, _ := bytes.Cut(text, []byte("\nsource_"))
		_, rest, _ = bytes.Cut(rest, []byte(":= "+insideSource+"/"))
		source, _, _ := bytes.Cut(rest, []byte("\n"))
		if strings.HasSuffix(string(source), ".c") {
			sources = append(sources, string(source))
		}
		return nil
	})
	slices.Sort(sources)
	return slices.Compact(sources), err
}

// graph is who includes what, as the texts say, whatever #if stands around it:
// for each file the names in its #include lines.
type graph map[string][]string

// forced are the headers that kbuild has the compiler include in every object.
var forced = []string{"include/linux/compiler-version.h", "include/linux/kconfig.h", "include/linux/compiler_types.h"}

// includes reads the #include lines of all headers and of the .c and .S files;
// the first time that takes 2 CPU s.
func (t *Tree) includes(ctx context.Context, objects []string) (graph, error) {
	dir, err := t.remember(ctx, "includes 2", func(ctx context.Context, dir string) error {
		b, err := t.built()
		if err != nil {
			return err
		}
		g := graph{}
		for _, from := range []struct{ host, at string }{{t.dir, ""}, {filepath.Join(b.host, "arch/x86/include/generated"), "arch/x86/include/generated"}} {
			err := filepath.WalkDir(from.host, func(file string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				rel, err := filepath.Rel(from.host, file)
				if err != nil {
					return err
				}
				name := path.Join(from.at, filepath.ToSlash(rel))
				// A .c file that is no object may be included by one.
				if ext := path.Ext(name); ext != ".h" && ext != ".c" && ext != ".S" && ext != ".inc" || strings.HasPrefix(name, "tools/") || strings.HasPrefix(name, "scripts/") {
					return nil
				}
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if names := included(text); len(names) > 0 {
					g[name] = names
				}
				return ctx.Err()
			})
			if err != nil {
				return err
			}
		}
		return writeJSON(filepath.Join(dir, "includes.json"), g)
	})
	if err != nil {
		return nil, err
	}
	var g graph
	if err := readJSON(filepath.Join(dir, "includes.json"), &g); err != nil {
		return nil, err
	}
	for _, o := range objects {
		name := strings.TrimSuffix(o, ".o") + ".c"
		if _, err := os.Stat(filepath.Join(t.dir, name)); err == nil {
			g[name] = append(g[name], forced...)
		}
	}
	return g, nil
}

// included gives the names in the #include lines of a text.
func included(text []byte) (names []string) {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] != '#' {
			continue
		}
		rest, ok := bytes.CutPrefix(bytes.TrimSpace(line[1:]), []byte("include"))
		rest = bytes.TrimSpace(rest)
		if !ok || len(rest) < 3 || rest[0] != '"' && rest[0] != '<' {
			continue
		}
		if end := bytes.IndexAny(rest[1:], "\">"); end > 0 {
			names = append(names, string(rest[1:1+end]))
		}
	}
	return names
}

// reaching gives the files from which header may be reached. A name in an
// #include line may mean every file whose path ends so: which one it is depends
// on the folders that the compiler looks in.
func (g graph) reaching(header string) map[string]bool {
	type mention struct{ in, name string }
	mentions := map[string][]mention{} // by the last part of the name
	for in, names := range g {
		for _, n := range names {
			base := path.Base(n)
			mentions[base] = append(mentions[base], mention{in, n})
		}
	}
	reached := map[string]bool{header: true}
	for queue := []string{header}; len(queue) > 0; {
		file := queue[0]
		queue = queue[1:]
		for _, m := range mentions[path.Base(file)] {
			name := strings.TrimLeft(path.Clean("/"+m.name), "/")
			if strings.Contains(m.name, "..") {
				name = path.Base(name)
			}
			if !reached[m.in] && (file == name || strings.HasSuffix(file, "/"+name)) {
				reached[m.in] = true
				queue = append(queue, m.in)
			}
		}
	}
	return reached
}
