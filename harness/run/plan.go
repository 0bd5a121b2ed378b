// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/kernels"
)

// Plan is one patch (or several, stacked in order) on one kernel once.
type Plan struct {
	Kernel   kernels.Candidate
	Selector string // as the user wrote it
	Patches  []*patch.Source
	With     []*patch.Source // modules that must be there first, in order
	Loads    []load.Spec     // nil: by the patched objects; empty: none
	Guest    GuestConfig     // Kit and Dir are filled in
	Dir      string          // for the artifacts of this run
	// StallAfter is guest time; 0: DefaultStallAfter.
	StallAfter time.Duration
	// Futures are what to try, each in a fork of that moment, when a transition
	// stalls; of FutureNames. Empty and not nil: the report says that nothing
	// was tried.
	Futures []string
	// Calls has the calls of the patched functions seen.
	Calls bool
	// Interruption: it is measured how long anybody is interrupted.
	Interruption bool
	// Timer is the measurement's module, of a bundle; nil: it is built.
	Timer    *patch.Source
	Expected check.Verdict // "": complete
	Repro    string        // the command line that does it again
	// Bundle says whether the run leaves one in Dir; "": it does not.
	Bundle bundle.Mode
	// Identity is the kernel's, where Kernel is the files of a bundle; nil else.
	Identity *bundle.Kernel
	// OnStall, if set, is called once, at the first stall of the run.
	OnStall func(context.Context, Stalled) error
	// Step hears what is being done; may be nil.
	Step func(what string)
}

// The steps of a run in their order, as they are shown and timed.
const (
	stepKernel   = "fetch the kernel"
	stepModule   = "build the module"
	stepBoot     = "boot"
	stepWith     = "load the modules it needs"
	stepLoad     = "start the load"
	stepBaseline = "run unpatched"
	stepApply    = "apply"
	stepStall    = "look at the stall"
	stepSteady   = "run patched"
	stepRevert   = "revert"
	stepUnload   = "unload"
	stepPowerOff = "power off"
	stepFutures  = "try what would have freed it"
)

// execution is a plan while it is carried out.
type execution struct {
	*Plan
	yard     *Yard
	kit      *kernels.Kit
	with     []*patch.Module
	modules  []*patch.Module // of Patches
	guest    *Guest
	loads    []runningLoad
	journal  *observe.Log // of the run's own
	refused  bool         // a patch was
	measured bool         // something was, by an instrument
	applied  []*transition
	before   map[string]int // modules and their references before the first patch
	stall    *stall         // the first one, if Futures are to be tried
	wake     *patch.Module  // of future "wake"
	timer    *patch.Module  // the second witness of interruption; nil: none
	looked   bool           // OnStall was called
}

// transition is one patch of the stack and both its ways.
type transition struct {
	module        *patch.Module
	apply, revert *Applied
}

// Run carries out a plan. The error is for what kept it from a guest's verdict:
// input that cannot be used (of a refused diff, which is a verdict too, the
// result tells as well), something this machine lacks, an interruption.
// Everything that the guest did is in the result, the machine's death too.
func (y *Yard) Run(ctx context.Context, p Plan) (report.Run, error) {
	if p.Expected == "" {
		p.Expected = check.VerdictComplete
	}
	x := &execution{Plan: &p, yard: y}
	err := x.open()
	if err == nil {
		err = x.run(ctx)
	}
	return x.close(err)
}

func (x *execution) run(ctx context.Context) error {
	if err := x.prepare(ctx); err != nil {
		return err
	}
	err := x.step(stepBoot, func() (err error) {
		cfg := x.Guest
		cfg.Kit, cfg.Dir = x.kit, x.Dir
		x.guest, err = x.yard.Boot(ctx, cfg)
		return err
	})
	if err == nil {
		x.noteMachine()
		err = x.drive(ctx)
		err = errors.Join(err, x.step(stepPowerOff, func() error { return x.guest.Close(ctx) }))
		_ = x.tryFutures(ctx) // the run's own end is told below
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return x.judge(err)
}

// prepare makes everything that needs no guest.
func (x *execution) prepare(ctx context.Context) error {
	for _, src := range x.Patches { // no kernel need be fetched for it
		if err := src.Unreadable(); err != nil {
			return x.refusing(err)
		}
	}
	err := x.step(stepKernel, func() (err error) {
		x.kit, err = x.yard.Kit(ctx, x.Kernel)
		return err
	})
	if err != nil {
		return err
	}
	err = x.step(stepModule, func() error {
		for _, src := range append(patch.Needed(x.Patches...), append(patch.Needed(x.With...), x.With...)...) {
			m, err := x.build(ctx, src)
			if err != nil {
				return err
			}
			// Two patches of a stack may bring the same target along.
			if !slices.ContainsFunc(x.with, func(w *patch.Module) bool { return w.Name == m.Name }) {
				x.with = append(x.with, m)
			}
		}
		for i, src := range x.Patches {
			m, err := x.build(ctx, src, patch.Below(x.Patches, i)...)
			if err != nil {
				return err
			}
			if !m.Manifest.Patches() {
				return &patch.InputError{Path: src.Path, Text: "patches nothing: the module has neither a klp_patch with functions nor the livepatch mark; a module that must only be there goes behind -with"}
			}
			x.modules = append(x.modules, m)
		}
		if err := x.instrumentsAlone(); err != nil {
			return err
		}
		if err := x.addTargets(ctx); err != nil {
			return err
		}
		x.noteIdentity()
		if err := x.prepareLateness(ctx); err != nil {
			return err
		}
		return x.prepareFutures(ctx)
	})
	return x.refusing(err)
}

// refusing notes what err has of refusals, which are a verdict, although no
// guest gave it. It gives err back.
func (x *execution) refusing(err error) error {
	if all := refusal.All(err); len(all) > 0 {
		x.refused = true
		x.facts(map[string]any{"refusals": all, "artifacts": report.Artifacts{}}) // nothing ran that could have left something
	}
	return err
}

// addTargets adds the modules of the kernel's own that are patched to those to
// be loaded first: a patch of what is not there shows nothing.
func (x *execution) addTargets(ctx context.Context) error {
	var own []*patch.Module
	for _, m := range x.modules {
		for _, object := range m.Manifest.Objects() {
			found, err := x.yard.Builder.Own(ctx, x.kit, object)
			var none *kernels.NoModuleError
			if errors.As(err, &none) {
				continue // the image, or a module that the user brings or means to load later
			}
			if err != nil {
				return err
			}
			for _, m := range found {
				if !slices.ContainsFunc(append(own, x.with...), func(w *patch.Module) bool { return w.Name == m.Name }) {
					own = append(own, m)
				}
			}
		}
	}
	x.with = append(own, x.with...)
	return nil
}

// build builds src, on the diffs below it, and, before any guest is started for
// it, checks a prebuilt module's kernel.
func (x *execution) build(ctx context.Context, src *patch.Source, below ...*patch.Source) (*patch.Module, error) {
	m, err := x.yard.Builder.Build(ctx, src, x.kit, below...)
	if err != nil {
		return nil, err
	}
	return m, m.CheckVermagic(x.kit)
}

// step does one step, timed and shown.
func (x *execution) step(name string, do func() error) error {
	if x.Step != nil {
		x.Step(name)
	}
	x.note(observe.Event{Kind: observe.KindStep, Step: &observe.Step{Name: name, Edge: "begin"}})
	err := do()
	end := &observe.Step{Name: name, Edge: "end"}
	if err != nil {
		end.Error = err.Error()
	}
	x.note(observe.Event{Kind: observe.KindStep, Step: end})
	return err
}

// name is what the stack of patches is called.
func (p *Plan) name() string {
	var names []string
	for _, src := range p.Patches {
		names = append(names, src.Name)
	}
	return strings.Join(names, "+")
}

// DirFor is the artifacts folder of p below base.
func (p *Plan) DirFor(base string) string {
	return filepath.Join(base, fmt.Sprintf("%s-%s", p.name(), p.Kernel.FileName()))
}
