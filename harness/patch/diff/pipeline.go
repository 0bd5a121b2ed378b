// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/sync/errgroup"

	"github.com/switchyard-project/switchyard/harness/patch/compare"
	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
	"github.com/switchyard-project/switchyard/kernels"
)

// source is the part of *tree.Tree that a pipeline uses.
type source interface {
	Read(name string) ([]byte, error)
	Units(ctx context.Context, source string) ([]tree.Unit, error)
	Includers(ctx context.Context, header string, limit int) ([]tree.Unit, error)
	Reach(ctx context.Context, header string) ([]string, error)
	Including(ctx context.Context, header string, sources []string, limit int) ([]tree.Unit, error)
	Compile(ctx context.Context, job tree.Job) ([]tree.Compiled, error)
	Assembly(ctx context.Context, files []string) ([]string, error)
	Preprocess(ctx context.Context, sources []string, overlay map[string][]byte) ([]string, error)
}

// pipeline is one diff on its way to a module.
type pipeline struct {
	kit     *kernels.Kit
	request Request
	source  source
	image   func() (*runpre.Image, error)

	typed     bool     // the objects have debugging information
	assembled []string // assembly that a changed header may reach
	made      Made
	checked   []CheckedFunction
	errs      *multierror.Error
}

// fail notes what is refused. The pipeline goes on as far as it can, so that
// the author hears of everything at once.
func (p *pipeline) fail(err error) {
	for _, r := range refusal.All(err) {
		if r.Release == "" {
			r.Release = p.kit.Release
		}
	}
	p.errs = multierror.Append(p.errs, err)
}

func (p *pipeline) failed() []error {
	if p.errs == nil {
		return nil
	}
	return p.errs.Errors
}

// err is what was refused so far, each once.
func (p *pipeline) err() error {
	var kept []error
	seen := map[string]bool{}
	for _, e := range p.failed() {
		if !seen[e.Error()] {
			seen[e.Error()] = true
			kept = append(kept, e)
		}
	}
	switch len(kept) {
	case 0:
		return nil
	case 1:
		return kept[0]
	}
	return multierror.Append(nil, kept...)
}

// module goes all the way up to the parts of the module.
func (p *pipeline) module(ctx context.Context) (*klp.Module, error) {
	changed, err := p.apply()
	if err != nil {
		return nil, err
	}
	s := p.sort(changed)
	if err := p.err(); err != nil {
		return nil, err
	}
	units, err := p.units(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := p.assembly(ctx, s, overlay(changed)); err != nil {
		return nil, err
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	if len(units) == 0 {
		return nil, p.refuse(refusal.NoEffect, "", "there is nothing to patch", "the diff has no functional change: nothing that this kernel is built from uses what it changes")
	}
	pairs, err := p.compile(ctx, s, units, changed)
	if err != nil {
		return nil, err
	}
	m := &klp.Module{Name: p.name(), Replace: p.request.Replace}
	if p.request.Callbacks != "" {
		m.Callbacks = []string{p.request.Callbacks}
	}
	if m.Parts, err = p.parts(s, pairs, changed); err != nil {
		return nil, err
	}
	p.warn(s)
	return m, nil
}

// apply applies the diffs to the source. What is given is changed against the
// kernel's own source, by all of them together: a module holds all that is
// new to the kernel, also where it is loaded on top of another.
func (p *pipeline) apply() ([]unified.Changed, error) {
	now := map[string]unified.Changed{}
	for i, part := range p.request.Diffs {
		r, err := part.Diff.Apply(func(name string) ([]byte, error) {
			c, ok := now[name]
			switch {
			case !ok:
				return p.source.Read(name)
			case c.After == nil:
				return nil, fs.ErrNotExist
			}
			return c.After, nil
		}, part.Level)
		if err != nil {
			for _, one := range refusal.All(err) {
				one.Release = p.kit.Release
				if i > 0 && one.Code == refusal.HunkFailed {
					one.Advice = "a diff on a stack holds against the source as those before it left it; where each holds against the kernel's own source, stack them with -replace"
				}
			}
			return nil, err
		}
		last := i == len(p.request.Diffs)-1
		if last {
			p.made.Level = r.Level
			notes, fuzzy := r.Notes()
			p.made.Notes, p.made.Warnings = append(p.made.Notes, notes...), append(p.made.Warnings, fuzzy...)
		}
		for _, c := range r.Files {
			if before, ok := now[c.Name]; ok {
				c = before.Then(c)
			}
			if !last {
				c.Hunks = nil
			}
			now[c.Name] = c
		}
	}
	var all []unified.Changed
	for _, c := range now {
		if c.Before != nil || c.After != nil {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b unified.Changed) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// mostUnits is how many translation units a change of headers may reach.
const mostUnits = 64

// units are all translation units that the changed files go into, each once.
func (p *pipeline) units(ctx context.Context, s sorted) (units []tree.Unit, err error) {
	seen := map[string]bool{} // an object's file may go into several modules
	for _, c := range append(slices.Clone(s.sources), s.headers...) {
		found, err := p.unitsOf(ctx, c)
		if refusal.All(err) == nil && err != nil {
			return nil, err
		}
		if err != nil {
			p.fail(err)
			continue
		}
		for i := range p.made.Files {
			if f := &p.made.Files[i]; f.Name == c.Name {
				for _, u := range found {
					f.Units = append(f.Units, u.Source)
				}
			}
		}
		for _, u := range found {
			if key := u.Out + " " + u.Object; !seen[key] {
				seen[key] = true
				units = append(units, u)
			}
		}
	}
	return units, p.err()
}

func (p *pipeline) unitsOf(ctx context.Context, c unified.Changed) ([]tree.Unit, error) {
	if kindOf(c.Name) == header {
		if c.Before == nil {
			return nil, nil // who includes it changes as well
		}
		return p.users(ctx, c)
	}
	if c.After == nil {
		return nil, p.refuse(refusal.Special, c.Name, "make its functions do nothing instead", "the diff removes the file, and code cannot be taken out of a running kernel")
	}
	found, err := p.source.Units(ctx, c.Name)
	if c.Before == nil {
		return nil, p.refuse(refusal.NotBuilt, c.Name, "put its functions into a file that is built already", "the file is new, and this kernel's build knows nothing of it")
	}
	var r *refusal.Refusal
	if errors.As(err, &r) && r.Code == refusal.NotBuilt {
		// A C file may be meant to be included by another one, as those of the
		// scheduler are.
		if by, includeErr := p.source.Includers(ctx, c.Name, mostUnits); includeErr == nil && len(by) > 0 {
			return by, nil
		}
	}
	return found, err
}

// overlay is what differs from the kernel's source.
func overlay(changed []unified.Changed) map[string][]byte {
	files := map[string][]byte{}
	for _, c := range changed {
		files[c.Name] = c.After
	}
	return files
}

// compared is a pair whose objects were looked at.
type compared struct {
	pair
	pre, post  *object.Object
	difference *compare.Difference
}

// wanted are the names that units begin to use which they do not define.
func wanted(all []compared) (names []string) {
	for _, c := range all {
		used := map[string]bool{}
		for _, s := range c.pre.Symbols {
			used[s.Name] = true
		}
		for _, s := range c.post.Symbols {
			if s.Undefined() && s.Name != "" && !used[s.Name] {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// pair is a translation unit compiled before and after.
type pair struct {
	tree.Unit
	pre, post tree.Compiled
}

// compile compiles the units before and after the change. With debugging
// information only where types may have changed: it costs as much again.
func (p *pipeline) compile(ctx context.Context, s sorted, units []tree.Unit, changed []unified.Changed) ([]pair, error) {
	debug := false
	for _, c := range append(slices.Clone(s.sources), s.headers...) {
		debug = debug || typesMayChange(c)
	}
	// Both at once: one file makes one compiler busy.
	var pre, post []tree.Compiled
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if pre, err = p.source.Compile(ctx, tree.Job{Units: units, Debug: debug}); err != nil {
			return fmt.Errorf("compile %s as it is: %w", p.kit.Release, err)
		}
		return nil
	})
	g.Go(func() (err error) {
		post, err = p.source.Compile(ctx, tree.Job{Units: units, Overlay: overlay(changed), Debug: debug})
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var pairs []pair
	for i, u := range units {
		pairs = append(pairs, pair{u, pre[i], post[i]})
	}
	p.typed = debug
	return pairs, nil
}

// moved says how the lines of the changed files moved, by their names without
// folders, which are all that objects have of them.
func moved(changed []unified.Changed) compare.Moved {
	files := map[string]*unified.Changed{}
	for i, c := range changed {
		name := path.Base(c.Name)
		if _, twice := files[name]; twice {
			files[name] = nil
			continue
		}
		files[name] = &changed[i]
	}
	return func(file, function string, line int) (int, bool) {
		c := files[file]
		if c == nil || !lineMayBeOf(function, c.Before, line) {
			return 0, false
		}
		return c.Moved(line)
	}
}

// objects opens both objects of a pair.
func (one pair) objects() (pre, post *object.Object, err error) {
	if pre, err = object.Open(one.pre.Path); err != nil {
		return nil, nil, err
	}
	post, err = object.Open(one.post.Path)
	return pre, post, err
}

// parts compares the units and takes what changed.
func (p *pipeline) parts(s sorted, pairs []pair, changed []unified.Changed) ([]klp.Part, error) {
	r := &resolver{pipeline: p, touched: touched(changed)}
	moved := moved(changed)
	var all []compared
	for _, one := range pairs {
		c := compared{pair: one}
		var err error
		if c.pre, c.post, err = one.objects(); err != nil {
			return nil, err
		}
		c.difference, err = compare.CompareMoved(c.pre, c.post, moved)
		if err != nil {
			if refusal.All(err) == nil {
				return nil, err
			}
			p.fail(err)
			continue
		}
		if p.typed {
			if err := p.types(one, c.difference.Exported(), changed); err != nil {
				return nil, err
			}
		}
		if !c.difference.Empty() {
			all = append(all, c)
		}
	}
	for _, c := range all {
		if err := r.take(c, wanted(all)); err != nil {
			return nil, err
		}
	}
	locate(p.failed(), changed)
	if err := p.err(); err != nil {
		return nil, err
	}
	if len(r.units) == 0 {
		if hidden := p.hidden(s); hidden != nil {
			return nil, hidden
		}
		name := ""
		if all := append(slices.Clone(s.sources), s.headers...); len(all) == 1 {
			name = all[0].Name
		}
		return nil, p.refuse(refusal.NoEffect, name, "there is nothing to patch", "the diff has no functional change: what it touches compiles to the same code")
	}
	parts, err := r.parts()
	if err != nil {
		return nil, err
	}
	locate(p.failed(), changed)
	if err := p.err(); err != nil {
		return nil, err
	}
	// A livepatch without a function is none: the kernel refuses its object.
	if !slices.ContainsFunc(parts, func(part klp.Part) bool { return len(part.Functions) > 0 }) {
		return nil, p.refuse(refusal.NoEffect, r.units[0].Source, "call them from a function that the kernel has", "the diff only adds functions, and no function of this kernel comes to call them")
	}
	return parts, nil
}
