// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
)

// Patch is a live patch in the guest and what came of its last transition.
type Patch struct {
	Module  *patch.Module
	Outcome check.Outcome
	// Applied is the transition as it was followed; nil of a refused patch.
	Applied *run.Applied
	vm      *VM
}

// ApplyOption changes how Apply applies.
type ApplyOption func(*applyOptions)

type applyOptions struct {
	stallAfter  time.Duration
	withoutWith bool
	diff        patch.DiffOptions
	below       []string
}

// StallAfter calls a transition stalled after d of guest time.
func StallAfter(d time.Duration) ApplyOption { return func(o *applyOptions) { o.stallAfter = d } }

// WithoutTarget leaves out the modules of the patch folder's with/.
func WithoutTarget() ApplyOption { return func(o *applyOptions) { o.withoutWith = true } }

// Replacing makes the module of a diff one that replaces all patches before it;
// the diff is against the kernel's own source.
func Replacing() ApplyOption { return func(o *applyOptions) { o.diff.Replace = true } }

// Reversed takes a diff's change out, as patch -R.
func Reversed() ApplyOption { return func(o *applyOptions) { o.diff.Reverse = true } }

// OnTopOf says that a diff is against the source as the diffs at paths left it,
// in order.
func OnTopOf(paths ...string) ApplyOption { return func(o *applyOptions) { o.below = paths } }

// Build builds the diff, folder, C file or .ko at path for the guest's kernel.
func (v *VM) Build(t testing.TB, path string) *patch.Module {
	t.Helper()
	src, err := patch.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return v.build(t, src)
}

func (v *VM) build(t testing.TB, src *patch.Source, below ...*patch.Source) *patch.Module {
	t.Helper()
	m, err := v.yard.Builder.Build(v.ctx, src, v.Kit, below...)
	if err != nil {
		t.Fatalf("%+v", fetchError(v.ctx, v.Kit.Release, err))
	}
	return m
}

// Insert builds the module at path and loads it with params ("name=value").
func (v *VM) Insert(t testing.TB, path string, params ...string) *patch.Module {
	t.Helper()
	m := v.Build(t, path)
	v.InsertModule(t, m, params...)
	return m
}

// InsertModule loads a built module.
func (v *VM) InsertModule(t testing.TB, m *patch.Module, params ...string) {
	t.Helper()
	if err := v.Guest.Insert(v.ctx, m, strings.Join(params, " ")); err != nil {
		t.Fatalf("load %s: %+v", m.Name, err)
	}
}

// Remove unloads a module.
func (v *VM) Remove(t testing.TB, name string) {
	t.Helper()
	if err := v.Guest.Unload(v.ctx, name); err != nil {
		t.Fatalf("%+v", err)
	}
}

// Apply builds the patch at path for the guest's kernel, loads the modules of
// its with/ folder and then the patch, and follows the transition to its end
// or until it has stalled. A patch that the kernel refuses is an outcome too.
func (v *VM) Apply(t testing.TB, path string, opts ...ApplyOption) *Patch {
	t.Helper()
	var o applyOptions
	for _, opt := range opts {
		opt(&o)
	}
	src, err := patch.OpenAs(path, o.diff)
	if err != nil {
		t.Fatal(err)
	}
	var below []*patch.Source
	for _, b := range o.below {
		one, err := patch.Open(b)
		if err != nil {
			t.Fatal(err)
		}
		below = append(below, one)
	}
	if !o.withoutWith {
		for _, w := range patch.Needed(src) {
			v.InsertModule(t, v.build(t, w))
		}
	}
	return v.apply(t, v.build(t, src, below...), o)
}

// ApplyModule is Apply for a built module.
func (v *VM) ApplyModule(t testing.TB, m *patch.Module, opts ...ApplyOption) *Patch {
	t.Helper()
	var o applyOptions
	for _, opt := range opts {
		opt(&o)
	}
	return v.apply(t, m, o)
}

func (v *VM) apply(t testing.TB, m *patch.Module, o applyOptions) *Patch {
	t.Helper()
	p := &Patch{Module: m, vm: v}
	if v.options.calls {
		if err := v.Guest.TraceCalls(v.ctx, v.options.callsBuffer, m); err != nil {
			t.Fatalf("trace the calls of %s: %v", m.Name, err)
		}
	}
	v.latenessWindow(t, lateness.Apply)
	a, err := v.Guest.Apply(v.ctx, m, o.stallAfter)
	var refused *run.Refused
	switch {
	case errors.As(err, &refused):
		p.Outcome = check.Outcome{Verdict: check.VerdictRefused, Reason: refused.Error()}
		return p
	case err != nil:
		t.Fatalf("apply %s: %+v", m.Name, err)
	}
	if a.Done() {
		v.latenessWindow(t, lateness.Patched)
	}
	return p.followed(a)
}

// followed is p with the outcome of a transition.
func (p *Patch) followed(a *run.Applied) *Patch {
	next := *p
	next.Applied = a
	next.Outcome = a.Outcome()
	return &next
}

// Follow waits again for a transition that had stalled, d of guest time more.
func (p *Patch) Follow(t testing.TB, d time.Duration) *Patch {
	t.Helper()
	a, err := p.vm.Guest.Follow(p.vm.ctx, p.Applied, d)
	if err != nil {
		t.Fatalf("follow %s: %+v", p.Module.Name, err)
	}
	return p.followed(a)
}

// Revert disables the patch and follows the reverse transition. In the middle
// of a transition it reverses that one.
func (p *Patch) Revert(t testing.TB, opts ...ApplyOption) *Patch {
	t.Helper()
	var o applyOptions
	for _, opt := range opts {
		opt(&o)
	}
	p.vm.latenessWindow(t, lateness.Revert)
	a, err := p.vm.Guest.Disable(p.vm.ctx, p.Module, o.stallAfter)
	if err != nil {
		t.Fatalf("revert %s: %+v", p.Module.Name, err)
	}
	if a.Done() {
		p.vm.latenessWindow(t, lateness.After)
	}
	return p.followed(a)
}

// Unload removes the patch's module.
func (p *Patch) Unload(t testing.TB) {
	t.Helper()
	p.vm.Remove(t, p.Module.Name)
}

// Expect fails the test when the last transition did not come out so.
func (p *Patch) Expect(t testing.TB, e check.Expectation) *Patch {
	t.Helper()
	if err := e.Check(p.Outcome); err != nil {
		t.Fatalf("%s: %s: %v", p.vm.Kit.Release, p.Module.Name, err)
	}
	return p
}

// Phase is the transition as it was observed.
func (p *Patch) Phase(t testing.TB) *observe.Phase {
	t.Helper()
	if p.Applied == nil || p.Applied.Phase == nil {
		t.Fatalf("%s has no transition: %v", p.Module.Name, p.Outcome)
	}
	return p.Applied.Phase
}

// Measured is what an instrument ("count:FUNC", "time:FUNC") has measured so
// far, in the order of its functions. It must still be loaded.
func (p *Patch) Measured(t testing.TB) []patch.Measured {
	t.Helper()
	all, err := p.Module.ReadMeasured(func(path string) ([]byte, error) { return p.vm.Client.ReadFile(p.vm.ctx, path) })
	if err != nil {
		t.Fatal(p.vm.Explain(err))
	}
	return all
}
