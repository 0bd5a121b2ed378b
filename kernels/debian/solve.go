// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"pault.ag/go/debian/dependency"

	"github.com/switchyard-project/switchyard/kernels"
)

// Solve gives the newest packages called roots, and all that they depend on,
// from the suites for tools, sorted by name. The first alternative that
// exists is taken, a virtual package is its first provider by name, and the
// packages called without are left out with what only they need. Version
// demands are not looked at: within one release of Debian they hold.
func (a *Archive) Solve(ctx context.Context, roots, without []string) ([]Package, error) {
	indexes, err := a.indexes(ctx, func(s Suite) bool { return s.Tools })
	if err != nil {
		return nil, err
	}
	var suites []Suite
	for _, ix := range indexes {
		if i := slices.IndexFunc(a.Suites, func(s Suite) bool { return s.Name == ix.Suite }); ix.Packages != "" {
			suites = append(suites, a.Suites[i])
		}
	}
	if len(suites) == 0 {
		return nil, fmt.Errorf("the mirror %s has no suite to take tools from; choose another by %s", a.Mirror.Archive, MirrorVariable)
	}
	w := wishes{real: map[string]wish{}, virtual: map[string][]string{}}
	for _, s := range suites {
		if err := a.eachBrief(s, w.add); err != nil {
			return nil, err
		}
	}
	chosen, err := w.closure(roots, without)
	if err != nil {
		return nil, fmt.Errorf("%w on the mirror %s", err, a.Mirror.Archive)
	}
	return a.locate(suites, chosen)
}

// wish is what solving needs to know of a package. Where its file is comes
// later, for the few that were chosen: memory.
type wish struct{ version, depends string }

type wishes struct {
	real    map[string]wish
	virtual map[string][]string // names of providers
}

func (w wishes) add(p Package) error {
	if old, ok := w.real[p.Name]; ok && kernels.CompareVersions(old.version, p.Version) >= 0 {
		return nil
	}
	w.real[strings.Clone(p.Name)] = wish{strings.Clone(p.Version), strings.Clone(p.Depends)}
	// Rust's library packages provide hundreds of names each, a third of all
	// the text, and no program depends on them to run.
	if strings.HasPrefix(p.Name, "librust-") {
		return nil
	}
	for provided := range strings.SplitSeq(p.Provides, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(provided), " ")
		if name != "" && !slices.Contains(w.virtual[name], p.Name) {
			name = strings.Clone(name)
			w.virtual[name] = append(w.virtual[name], strings.Clone(p.Name))
		}
	}
	return nil
}

// closure gives the versions of all packages needed, by name.
func (w wishes) closure(roots, without []string) (map[string]string, error) {
	chosen := map[string]string{}
	queue := slices.Clone(roots)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, done := chosen[name]; done || slices.Contains(without, name) {
			continue
		}
		p, ok := w.real[name]
		if !ok {
			return nil, fmt.Errorf("there is no package %s", name)
		}
		chosen[name] = p.version
		deps, err := dependency.Parse(p.depends)
		if err != nil {
			return nil, fmt.Errorf("dependencies of package %s: %w", name, err)
		}
		for _, relation := range deps.Relations {
			next, err := w.pick(relation, chosen, roots, without)
			if err != nil {
				return nil, fmt.Errorf("package %s: %w", name, err)
			}
			if next != "" {
				queue = append(queue, next)
			}
		}
	}
	return chosen, nil
}

// pick gives the package that fulfils one relation, "" if that is done already.
func (w wishes) pick(r dependency.Relation, chosen map[string]string, roots, without []string) (string, error) {
	var names []string
	for _, possibility := range r.Possibilities {
		name := possibility.Name
		if _, ok := w.real[name]; ok {
			names = append(names, name)
		}
		names = append(names, slices.Sorted(slices.Values(w.virtual[name]))...)
	}
	for _, name := range names {
		if _, ok := chosen[name]; ok || slices.Contains(roots, name) || slices.Contains(without, name) {
			return "", nil
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("nothing fulfils its dependency %q", r.String())
	}
	return names[0], nil
}

// locate finds the files of the chosen versions.
func (a *Archive) locate(suites []Suite, chosen map[string]string) ([]Package, error) {
	found := map[string]Package{}
	for _, s := range suites {
		err := a.eachBrief(s, func(p Package) error {
			if v, ok := chosen[p.Name]; ok && v == p.Version {
				p.Depends, p.Provides = "", ""
				found[p.Name] = p
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var all []Package
	for _, p := range found {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// eachBrief reads what derive wrote.
func (a *Archive) eachBrief(s Suite, yield func(Package) error) error {
	f, err := os.Open(a.toolsPath(s))
	if err != nil {
		return fmt.Errorf("packages of %s: %w", s.Name, err)
	}
	defer f.Close()
	r, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("packages of %s: %w", s.Name, err)
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p, err := readBrief(lines.Text(), s)
		if err != nil {
			return a.forget(s, err)
		}
		if err := yield(p); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return a.forget(s, err)
	}
	return nil
}

// forget drops the cached index of s, which is damaged, so that the next
// attempt makes it anew.
func (a *Archive) forget(s Suite, why error) error {
	for _, path := range []string{a.indexPath(s), a.toolsPath(s)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			why = errors.Join(why, err)
		}
	}
	return fmt.Errorf("the cached package index of %s was damaged and is removed, run it again: %w", s.Name, why)
}

func readBrief(line string, s Suite) (Package, error) {
	f := strings.Split(line, "\t")
	if len(f) != 7 {
		return Package{}, fmt.Errorf("a line has %d fields", len(f))
	}
	size, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil {
		return Package{}, err
	}
	return Package{Name: f[0], Version: f[1], Filename: f[2], Size: size, SHA256: f[4], Depends: f[5], Provides: f[6], Suite: s.Name}, nil
}
