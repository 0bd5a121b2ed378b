// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/kernels"
)

// Minimize says how the least is looked for that comes to a bundle's answer.
type Minimize struct {
	*Rehearsal
	// Repeat is how often a thing is tried before it counts as not coming to
	// the answer: for one that is a race.
	Repeat int
	// Dir is for the runs; each leaves its evidence until the next one.
	Dir string
	// Tell hears of each step, as a sentence; may be nil.
	Tell func(text string)
}

// Minimal is what was found.
type Minimal struct {
	Rehearsal
	Runs int // that it took
	// Left and Was tell in words what there is now, and what there was.
	Left, Was string
	// Kept says, a sentence each, what was not tried, and why.
	Kept []string
}

// least is what a run can do without.
type least struct {
	loads   []load.Spec
	with    []*patch.Source
	patches []*patch.Source
	// functions are those in the tables, by patch.
	functions map[*patch.Source][]patch.Function
	cpus      int
}

// minimizing is a search while it goes on.
type minimizing struct {
	Minimize
	yard    *Yard
	kit     *kernels.Kit
	modules map[*patch.Source]*patch.Module
	own     []*patch.Source // of With: the kernel's own, which a patch of theirs brings along anyway
	known   map[string]bool // what came of what was tried
	runs    int
	now     least
}

// Minimize leaves out loads, vCPUs, patches of the stack, modules before it and
// functions of the patches, one after the other and again until nothing more
// can go, while the run comes to the bundle's answer. Functions are taken out
// of the module's tables (see patch.Module.Cut): nothing is compiled. Errors: a
// *StrayError if not even the whole comes to it, a *patch.InputError if the whole
// is nothing that could be run.
func (y *Yard) Minimize(ctx context.Context, m Minimize) (*Minimal, error) {
	s := &minimizing{Minimize: m, yard: y, modules: map[*patch.Source]*patch.Module{}, known: map[string]bool{}}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	was := s.now.String()
	same, err := s.try(ctx, s.now)
	if err != nil {
		return nil, err
	}
	if !same {
		return nil, &StrayError{Want: m.want, Times: max(m.Repeat, 1)}
	}
	kept := s.kept()
	for before := ""; before != s.now.key(); {
		before = s.now.key()
		for _, part := range s.parts(len(kept) == 0) {
			if err := part(ctx); err != nil {
				return nil, err
			}
		}
	}
	plan, err := s.plan(s.now)
	if err != nil {
		return nil, err
	}
	out := &Minimal{Rehearsal: *m.Rehearsal, Runs: s.runs, Left: s.now.String(), Was: was, Kept: kept}
	out.Plan = plan
	return out, nil
}

// StrayError says that a run did not come to its bundle's answer.
type StrayError struct {
	Want  bundle.Answer
	Times int
}

func (e *StrayError) Error() string {
	return fmt.Sprintf("the bundle's own run came to another end %d of %d times than %s: there is nothing to hold smaller ones against", e.Times, e.Times, e.Want)
}

// begin finds out what there is.
func (s *minimizing) begin(ctx context.Context) (err error) {
	if s.kit, err = s.yard.Kit(ctx, s.Kernel); err != nil {
		return err
	}
	s.now = least{loads: s.Loads, patches: s.Patches, functions: map[*patch.Source][]patch.Function{}, cpus: s.Guest.CPUs}
	for _, src := range s.With {
		if src.Own {
			s.own = append(s.own, src)
		} else {
			s.now.with = append(s.now.with, src)
		}
	}
	for _, src := range s.Patches {
		m, err := s.yard.Builder.Build(ctx, src, s.kit)
		if err != nil {
			return err
		}
		s.modules[src] = m
		s.now.functions[src] = m.Manifest.Functions
	}
	return nil
}

// kept says why patches and their functions must stay: a verdict that rests on
// what probes read would stay for want of any patch.
func (s *minimizing) kept() []string {
	switch check.Verdict(s.want.Verdict) {
	case check.VerdictIneffective, check.VerdictComplete, check.VerdictRefused:
		return []string{fmt.Sprintf("patches and functions were all kept: %s is what a run without them could come to for another reason", s.want.Verdict)}
	}
	return nil
}

// parts are what can be left out, in this order: what costs time first.
func (s *minimizing) parts(patches bool) []func(context.Context) error {
	all := []func(context.Context) error{
		func(ctx context.Context) error {
			return s.leaveOut(ctx, "load", len(s.now.loads), false, func(l *least, keep []int) { l.loads = pick(s.now.loads, keep) })
		},
		s.fewerCPUs,
	}
	if patches {
		all = append(all, func(ctx context.Context) error {
			return s.leaveOut(ctx, "patch", len(s.now.patches), true, func(l *least, keep []int) { l.patches = pick(s.now.patches, keep) })
		})
	}
	all = append(all, func(ctx context.Context) error {
		return s.leaveOut(ctx, "module before it", len(s.now.with), false, func(l *least, keep []int) { l.with = pick(s.now.with, keep) })
	})
	if patches {
		all = append(all, s.fewerFunctions)
	}
	return all
}

func pick[T any](all []T, keep []int) []T {
	some := make([]T, 0, len(keep))
	for _, i := range keep {
		some = append(some, all[i])
	}
	return some
}

// leaveOut looks for the fewest of n things; with one, at least one must stay.
func (s *minimizing) leaveOut(ctx context.Context, what string, n int, one bool, set func(*least, []int)) error {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	base := s.now
	keep, err := ddmin(all, func(keep []int) (bool, error) {
		if one && len(keep) == 0 {
			return false, nil
		}
		l := base
		set(&l, keep)
		return s.try(ctx, l)
	})
	if err != nil {
		return err
	}
	set(&s.now, keep)
	if gone := n - len(keep); gone > 0 {
		s.tell("%d of %d left out: %s", gone, n, what)
	}
	return nil
}

func (s *minimizing) fewerCPUs(ctx context.Context) error {
	for n := 1; n < s.now.cpus; n *= 2 {
		l := s.now
		l.cpus = n
		same, err := s.try(ctx, l)
		if err != nil {
			return err
		}
		if same {
			s.tell("%d vCPU in the place of %d", n, s.now.cpus)
			s.now = l
			return nil
		}
	}
	return nil
}

func (s *minimizing) fewerFunctions(ctx context.Context) error {
	for _, src := range s.now.patches {
		before := s.now.functions[src]
		if len(before) < 2 {
			continue
		}
		err := s.leaveOut(ctx, "function of "+src.Name, len(before), true, func(l *least, keep []int) {
			l.functions = cloneWith(l.functions, src, pick(before, keep))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func cloneWith(all map[*patch.Source][]patch.Function, src *patch.Source, functions []patch.Function) map[*patch.Source][]patch.Function {
	some := map[*patch.Source][]patch.Function{}
	for s, f := range all {
		some[s] = f
	}
	some[src] = functions
	return some
}

// try says whether l comes to the answer.
func (s *minimizing) try(ctx context.Context, l least) (bool, error) {
	key := l.key()
	if same, known := s.known[key]; known {
		return same, nil
	}
	plan, err := s.plan(l)
	if err != nil {
		return false, err
	}
	for range max(s.Repeat, 1) {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		s.runs++
		re := *s.Rehearsal
		re.Plan = plan
		once, err := s.yard.Again(ctx, &re, filepath.Join(s.Dir, "run"))
		var input *patch.InputError
		switch {
		case errors.As(err, &input) && len(s.known) > 0: // without something it is no patch any more
			s.tell("run %d, %s: %v", s.runs, l, err)
		case err != nil && (input != nil || context.Cause(ctx) != nil || kernels.IsLacking(err) || !once.Run.Booted()):
			return false, err
		default:
			s.tell("run %d, %s: %s", s.runs, l, once.Answer)
		}
		if once.Same {
			s.known[key] = true
			return true, nil
		}
	}
	s.known[key] = false
	return false, nil
}

// plan is the plan with no more than l in it.
func (s *minimizing) plan(l least) (Plan, error) {
	p := s.Plan
	p.Loads, p.With, p.Guest.CPUs, p.Futures = append([]load.Spec{}, l.loads...), slices.Concat(s.own, l.with), l.cpus, nil
	p.Patches = nil
	for _, src := range l.patches {
		m := s.modules[src]
		var out []patch.Function
		for _, f := range m.Manifest.Functions {
			if !slices.Contains(l.functions[src], f) {
				out = append(out, f)
			}
		}
		if len(out) == 0 {
			p.Patches = append(p.Patches, src)
			continue
		}
		cut := *src
		cut.Path = filepath.Join(s.Dir, fmt.Sprintf("cut-%s-%d.ko", src.Name, len(s.known)))
		cut.Cut = slices.Concat(src.Cut, out)
		if err := m.Cut(s.kit, out, cut.Path); err != nil {
			return p, err
		}
		p.Patches = append(p.Patches, &cut)
	}
	return p, nil
}

func (s *minimizing) tell(format string, args ...any) {
	if s.Tell != nil {
		s.Tell(fmt.Sprintf(format, args...))
	}
}

// key tells one from the other.
func (l least) key() string {
	text := fmt.Sprintf("%v %d", l.loads, l.cpus)
	for _, src := range l.with {
		text += " with " + src.Name
	}
	for _, src := range l.patches {
		text += fmt.Sprintf(" %s %v", src.Name, l.functions[src])
	}
	return text
}

func (l least) String() string {
	functions := 0
	for _, src := range l.patches {
		functions += len(l.functions[src])
	}
	count := func(n int, noun string) string {
		if n == 1 {
			return "1 " + noun
		}
		return fmt.Sprintf("%d %ss", n, noun)
	}
	patches := "1 patch"
	if len(l.patches) != 1 {
		patches = fmt.Sprintf("%d patches", len(l.patches))
	}
	return fmt.Sprintf("%s, %s, %s before it, %s, %s", patches, count(functions, "function"), count(len(l.with), "module"), count(len(l.loads), "load"), count(l.cpus, "vCPU"))
}
