// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"syscall"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// drive does with the booted guest what the plan says, up to the power-off.
// What it finds wrong is evidence; its error is for a guest that no longer
// answers.
func (x *execution) drive(ctx context.Context) error {
	if len(x.with) > 0 {
		err := x.step(stepWith, func() error {
			for _, m := range x.with {
				if err := x.insertFirst(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var err error
	if x.before, err = x.moduleReferences(ctx); err != nil {
		return err
	}
	if err := x.compareMemory(ctx); err != nil || x.refused {
		return err
	}
	if err := x.probe(ctx, x.Patches, "before the patch", patch.Probe.Old); err != nil {
		return err
	}
	if err := x.traceCalls(ctx); err != nil {
		return err
	}
	if err := x.step(stepLoad, func() error { return x.startLoads(ctx) }); err != nil {
		return err
	}
	if x.Interruption {
		if err := x.step(stepBaseline, func() error { return x.startLateness(ctx) }); err != nil {
			return err
		}
	}
	if err := x.step(stepApply, func() error { return x.applyAll(ctx) }); err != nil {
		return err
	}
	if x.allDone() {
		if err := x.step(stepSteady, func() error { return x.steady(ctx) }); err != nil {
			return err
		}
	}
	if err := x.measure(ctx); err != nil {
		return err
	}
	if err := x.step(stepRevert, func() error { return x.revertAll(ctx) }); err != nil {
		return err
	}
	if err := x.measure(ctx); err != nil {
		return err
	}
	if !x.refused && x.allDone() {
		if err := x.step(stepUnload, func() error { return x.unloadAll(ctx) }); err != nil {
			return err
		}
	}
	if err := x.guest.StopLateness(ctx); err != nil {
		return err
	}
	if err := x.stopLoads(ctx); err != nil {
		return err
	}
	if err := x.endCalls(ctx); err != nil {
		return err
	}
	// What the kernel says of the very last step counts as well.
	return x.guest.Fence(ctx)
}

// insertFirst loads a module that is to be there before the patch. One of the
// kernel's own may be there already, or find nothing to drive.
func (x *execution) insertFirst(ctx context.Context, m *patch.Module) error {
	err := x.guest.Insert(ctx, m, "")
	var refused *Refused
	if !m.Own || !errors.As(err, &refused) {
		return err
	}
	if refused.Errno != syscall.EEXIST {
		x.find(observe.FoundWarning, "the kernel's own module %s does not load in this guest (%v): what the patch changes in it was not seen", m.Name, refused.Errno)
	}
	return nil
}

// applyAll applies the patches in order, each followed to its end. It ends
// early where one is refused or stalls.
func (x *execution) applyAll(ctx context.Context) error {
	if err := x.guest.LatenessWindow(ctx, lateness.Apply); err != nil {
		return err
	}
	for i, m := range x.modules {
		a, err := x.guest.Apply(ctx, m, x.StallAfter)
		var refused *Refused
		if errors.As(err, &refused) {
			x.refuse(refused.Error())
			return nil
		}
		if a != nil {
			x.applied = append(x.applied, &transition{module: m, apply: a})
			x.noteFollowed(a)
		}
		if err != nil {
			return err
		}
		if !a.Done() {
			x.keepStall(ctx, a)
			return x.onStall(ctx, a)
		}
		for _, what := range a.Unhooked {
			x.find(observe.FoundProbe, "%s", what)
		}
		if err := x.probe(ctx, x.Patches[i:i+1], "patched", patch.Probe.New); err != nil {
			return err
		}
	}
	return nil
}

// steady lets the loads run against the patched code.
func (x *execution) steady(ctx context.Context) error {
	if err := x.guest.LatenessWindow(ctx, lateness.Patched); err != nil {
		return err
	}
	if err := x.loadsProgress(ctx); err != nil {
		return err
	}
	return x.guest.Settle(ctx)
}

// revertAll disables the patches, the last one first: also one whose
// transition stalled, since a way back is what its author needs to know of.
func (x *execution) revertAll(ctx context.Context) error {
	if len(x.applied) > 0 {
		if err := x.guest.LatenessWindow(ctx, lateness.Revert); err != nil {
			return err
		}
	}
	for _, t := range slices.Backward(x.applied) {
		if t.apply.Phase == nil {
			continue // it never began, so there is nothing to disable
		}
		a, err := x.guest.Disable(ctx, t.module, x.StallAfter)
		if a != nil {
			t.revert = a
			x.noteFollowed(a)
		}
		if err != nil {
			return err
		}
		if !a.Done() {
			x.keepStall(ctx, a)
			return x.onStall(ctx, a)
		}
	}
	if len(x.applied) == 0 {
		return nil
	}
	if err := x.guest.LatenessWindow(ctx, lateness.After); err != nil {
		return err
	}
	return x.probe(ctx, x.Patches[:len(x.applied)], "after the revert", patch.Probe.Old)
}

// unloadAll removes the modules and looks at what stayed.
func (x *execution) unloadAll(ctx context.Context) error {
	for _, t := range slices.Backward(x.applied) {
		if err := x.guest.Unload(ctx, t.module.Name); err != nil {
			if _, died := x.death(err); died {
				return err
			}
			x.find(observe.FoundLeak, "module %s (%v)", t.module.Name, err)
		}
	}
	after, err := x.moduleReferences(ctx)
	if err != nil {
		return err
	}
	left, err := x.guest.Client.Livepatches(ctx)
	if err != nil {
		return x.guest.orDeath(err)
	}
	var names []string
	for _, lp := range left {
		names = append(names, lp.Name)
	}
	x.leaked(after, names)
	return nil
}

// leaked notes what is there after the last unload and was not before:
// modules with their references, and livepatches.
func (x *execution) leaked(after map[string]int, livepatches []string) {
	var leaks []string
	for name, refs := range after {
		switch was, known := x.before[name]; {
		case !known && !x.named(name):
			leaks = append(leaks, "module "+name)
		case known && refs > was:
			leaks = append(leaks, fmt.Sprintf("%d references to module %s", refs-was, name))
		}
	}
	for _, name := range livepatches {
		leaks = append(leaks, "livepatch "+name)
	}
	sort.Strings(leaks)
	for _, l := range leaks {
		x.find(observe.FoundLeak, "%s", l)
	}
}

// refuse notes that a patch was not taken, and why.
func (x *execution) refuse(why string) {
	x.refused = true
	x.find(observe.FoundRefusal, "%s", why)
}

// named says whether name is one of the patches, whose leak is told already, or
// a module of the measurement, which goes on.
func (x *execution) named(name string) bool {
	if x.timer != nil && x.timer.Name == name {
		return true
	}
	return slices.ContainsFunc(x.modules, func(m *patch.Module) bool { return m.Name == name })
}

// allDone says whether every patch of the stack is applied for good.
func (x *execution) allDone() bool {
	if len(x.applied) != len(x.modules) {
		return false
	}
	return !slices.ContainsFunc(x.applied, func(t *transition) bool {
		return !t.apply.Done() || (t.revert != nil && !t.revert.Done())
	})
}

// probe reads what the sources' probes name and notes what is not as it
// should be.
func (x *execution) probe(ctx context.Context, sources []*patch.Source, when string, right func(patch.Probe, string) bool) error {
	for _, src := range sources {
		for _, p := range src.Probes {
			var text []byte
			err := x.guest.patiently(ctx, "read "+p.Read, func() (err error) {
				text, err = x.guest.Client.ReadFile(ctx, p.Read)
				return err
			})
			if err != nil {
				if _, died := x.death(x.guest.orDeath(err)); died {
					return x.guest.orDeath(err)
				}
				x.find(observe.FoundProbe, "%s: %s cannot be read: %v", when, p.Read, err)
				continue
			}
			x.judgeProbe(p, when, string(text), right)
		}
	}
	return nil
}

func (x *execution) judgeProbe(p patch.Probe, when, text string, right func(patch.Probe, string) bool) {
	if !right(p, text) {
		x.find(observe.FoundProbe, "%s, %s says %q", when, p.Read, clip(text))
	}
}

func clip(text string) string {
	const most = 120
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// moduleReferences counts the references to each loaded module.
func (x *execution) moduleReferences(ctx context.Context) (map[string]int, error) {
	all, err := x.guest.Client.Modules(ctx)
	if err != nil {
		return nil, x.guest.orDeath(err)
	}
	refs := map[string]int{}
	for _, m := range all {
		refs[m.Name] = m.RefCount
	}
	return refs, nil
}

// defaultLoads are the loads for what the modules patch.
func (x *execution) defaultLoads() []load.Spec {
	var functions []string
	var objects []string
	for _, m := range x.modules {
		objects = append(objects, m.Manifest.Objects()...)
		functions = append(functions, functionNames(m)...)
	}
	specs := load.DefaultFor(objects, functions)
	for i := range specs {
		// The original's content and one for each patch of the stack.
		if specs[i].Path != "" && specs[i].Variants == 0 {
			specs[i].Variants = 1 + len(x.modules)
		}
		specs[i].Accept = x.accepted(specs[i].Path)
	}
	return specs
}

// accepted are patterns for all right contents of path, if the probes of every
// patch tell them; else none.
func (x *execution) accepted(path string) (patterns []string) {
	for _, src := range x.Patches {
		known := false
		for _, p := range src.Probes {
			if p.Read == path {
				known = true
				for _, re := range []string{p.Before, p.After} {
					// A probe's expression may match a part, a load's must
					// match all.
					patterns = append(patterns, "(?s:.*)(?:"+re+")(?s:.*)")
				}
			}
		}
		if !known {
			return nil
		}
	}
	return patterns
}
