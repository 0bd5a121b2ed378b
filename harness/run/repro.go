// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Repro says how a bundle's run is done again.
type Repro struct {
	Bundle *bundle.Opened
	// Kernel is a selector of another kernel to do it on; "": the bundle's own.
	Kernel string
	// Rebuild has the modules built of their sources, in the tool root, and not
	// taken as they are.
	Rebuild bool
}

// Rehearsal is a bundle's run made ready.
type Rehearsal struct {
	Plan
	// Notes say, a sentence each, what is another than it was.
	Notes []string
	seed  *bundle.Deterministic
	want  bundle.Answer
}

// Rehearsal makes a plan of a bundle: the bundle's modules, machine, loads and
// seed, on the kernel that it was made on. Errors: *bundle.Error for a bundle
// that no run can be made of, *ReleaseError for modules that are not of
// r.Kernel, *kernels.Lacking where its kernel is not to be had here.
func (y *Yard) Rehearsal(ctx context.Context, r Repro) (*Rehearsal, error) {
	m := &r.Bundle.Manifest
	if m.Case != nil {
		return nil, &bundle.Error{Path: r.Bundle.Path, Err: fmt.Errorf("it is of a Go test, whose steps are not in it; the test again: %s", Printable(m.Case.Again))}
	}
	out := &Rehearsal{want: m.Answer}
	c, err := y.kernelOf(ctx, r)
	if err == nil {
		err = r.fits(c)
	}
	if err != nil {
		return nil, err
	}
	out.Plan = Plan{
		Kernel: c, Selector: c.Selector(), Loads: m.Loads,
		Guest:      GuestConfig{CPUs: m.Machine.VCPUs, MemMiB: m.Machine.MemMiB, Append: m.Machine.Append, Cold: m.Machine.Start == StartCold && m.Deterministic == nil},
		StallAfter: time.Duration(m.StallAfterNS), Expected: check.Verdict(m.Expected), Repro: Printable(m.Command),
	}
	out.watch(m)
	if m.Kernel.Full && r.Kernel == "" {
		out.Identity = &m.Kernel
	}
	if d := m.Deterministic; d != nil {
		out.seed = d
	}
	if out.Patches, err = r.sources(m.Patches); err != nil {
		return nil, err
	}
	if out.With, err = r.sources(m.With); err != nil {
		return nil, err
	}
	if m.Timer != nil && !r.Rebuild && c.Release == m.Kernel.Release {
		timer, err := r.sources([]bundle.Module{*m.Timer})
		if err != nil {
			return nil, err
		}
		out.Timer = timer[0]
	}
	if len(out.Patches) == 0 {
		return nil, &bundle.Error{Path: r.Bundle.Path, Err: errors.New("it holds no patch")}
	}
	kit, err := y.Kit(ctx, c)
	if err != nil {
		return nil, kernelGone(m, err)
	}
	return out, out.compareKernel(m, kit, r.Kernel != "")
}

// ReleaseError says that a bundle's modules, taken as they are, are of another
// kernel than the one that was asked for.
type ReleaseError struct {
	Selector, Release string // what was asked for
	Built             string // the release that the modules were built for
	// Rebuild: all of them can be built of the sources in the bundle.
	Rebuild bool
}

func (e *ReleaseError) Error() string {
	of := e.Selector
	if of != e.Release {
		of += " is " + e.Release + ", and"
	} else {
		of += ":"
	}
	return fmt.Sprintf("-kernel %s the modules in the bundle are built for %s", of, e.Built)
}

// fits holds the modules, which are taken as they are, to another kernel c,
// before that is fetched.
func (r Repro) fits(c kernels.Candidate) error {
	m := &r.Bundle.Manifest
	if r.Kernel == "" || r.Rebuild || c.Release == "" || c.Release == m.Kernel.Release {
		return nil
	}
	built, sources := false, true
	for _, mod := range slices.Concat(m.With, m.Patches) {
		if mod.Own {
			continue
		}
		built = built || mod.File != ""
		sources = sources && len(mod.Cut) == 0 && (mod.Source == nil || mod.Source.Kind != string(patch.Prebuilt))
	}
	if !built {
		return nil
	}
	return &ReleaseError{Selector: r.Kernel, Release: c.Release, Built: m.Kernel.Release, Rebuild: sources}
}

// watch has as much seen of the run as was. An older bundle does not say what
// that was: its run had most likely both, which are on unless a user says
// otherwise, and a verdict that rested on neither comes again with both.
func (out *Rehearsal) watch(m *bundle.Manifest) {
	out.Calls, out.Interruption = true, true
	if m.Calls == nil || m.Interruption == nil {
		out.Notes = append(out.Notes, "the bundle is of a version that did not note whether calls were seen and interruption measured: both are, as `switchyard run` does unless told otherwise")
	}
	if m.Calls != nil {
		out.Calls = *m.Calls
	}
	if m.Interruption != nil {
		out.Interruption = *m.Interruption
	}
}

// compareKernel makes sure that kit is the very kernel of the bundle.
func (out *Rehearsal) compareKernel(m *bundle.Manifest, kit *kernels.Kit, other bool) error {
	sum, err := store.HashFile(kit.BootImage())
	if err != nil {
		return err
	}
	switch {
	case sum == m.Kernel.Image.SHA256:
		return nil
	case other:
		out.Notes = append(out.Notes, fmt.Sprintf("the kernel is %s %s, and the bundle was made on %s %s", kit.Release, kit.Version, m.Kernel.Release, Printable(m.Kernel.Version)))
		return nil
	}
	return &kernels.Lacking{
		What:   fmt.Sprintf("the build of %s that the bundle was made on (%s, image with SHA-256 %.16s…)", m.Kernel.Release, Printable(m.Kernel.Version), m.Kernel.Image.SHA256),
		Remedy: "take a bundle made with -bundle full, or try this one: -kernel " + kit.Release,
		Err:    fmt.Errorf("%s is here, from %s, with %.16s…", kit.Version, kit.Source, sum),
	}
}

// kernelOf finds the kernel: in the bundle itself, where the user says, or where
// the bundle's maker had it from. A path that a stranger wrote is no place to
// look at.
func (y *Yard) kernelOf(ctx context.Context, r Repro) (kernels.Candidate, error) {
	m := &r.Bundle.Manifest
	switch {
	case r.Kernel != "":
		found, err := y.Catalogue.Select(ctx, r.Kernel)
		if err != nil {
			return kernels.Candidate{}, err
		}
		if len(found) > 1 {
			return kernels.Candidate{}, &kernels.SelectorError{Text: r.Kernel, Reason: fmt.Sprintf("means %d kernels, and a bundle is of one", len(found))}
		}
		return found[0], nil
	case m.Kernel.Full:
		for _, p := range y.Catalogue.Providers {
			if taker, ok := p.(kernels.PathProvider); ok {
				c, ok, err := taker.FromPath(ctx, r.Bundle.File(bundle.KernelDir))
				if ok || err != nil {
					return c, err
				}
			}
		}
	case m.Kernel.Provider == "local":
		return kernels.Candidate{}, &kernels.Lacking{
			What:   fmt.Sprintf("the kernel %s, which was made of files at hand where the bundle was made (%s)", m.Kernel.Release, Printable(m.Kernel.Selector)),
			Remedy: "name it with -kernel PATH, or take a bundle made with -bundle full",
		}
	}
	found, err := y.Catalogue.Select(ctx, m.Kernel.Release)
	if err != nil {
		return kernels.Candidate{}, kernelGone(m, err)
	}
	// Of several of one release the very version.
	if i := slices.IndexFunc(found, func(c kernels.Candidate) bool { return c.Version == m.Kernel.Version }); i > 0 {
		return found[i], nil
	}
	return found[0], nil
}

// kernelGone is err, for which the bundle's kernel is not to be had.
func kernelGone(m *bundle.Manifest, err error) error {
	remedy := "take a bundle made with -bundle full, or try another kernel with -kernel (and -rebuild)"
	if m.Kernel.Provider == "source" {
		remedy = "build it with `switchyard kernels build " + kernels.UpstreamVersion(m.Kernel.Release) + "`, or " + remedy
	}
	var none *kernels.NoMatchError
	switch {
	case errors.As(err, &none):
		err = nil // it names all others, of which none is meant
	case !kernels.IsLacking(err):
		return err
	}
	return &kernels.Lacking{
		What:   fmt.Sprintf("the kernel %s %s of the bundle, which came from %s", m.Kernel.Release, Printable(m.Kernel.Version), Printable(m.Kernel.Source)),
		Remedy: remedy, Err: err,
	}
}

// sources are the modules of a bundle: built ones, or, with Rebuild, what they
// were made from.
func (r Repro) sources(modules []bundle.Module) (all []*patch.Source, err error) {
	for _, m := range modules {
		origin := r.origin(m.Source)
		switch {
		case r.Rebuild && len(m.Cut) > 0:
			return nil, &bundle.Error{Path: r.Bundle.Path, Err: fmt.Errorf("functions were taken out of module %s, which its source still has: leave -rebuild away, or take the bundle that this one was made from", m.Name)}
		case r.Rebuild && origin != nil:
			src, err := patch.OpenAs(r.opened(m.Source), origin.Options)
			if err != nil {
				return nil, err
			}
			all = append(all, src)
			continue
		case r.Rebuild && m.File == "", m.File == "" && m.Source == nil:
			return nil, &bundle.Error{Path: r.Bundle.Path, Err: fmt.Errorf("neither module %s nor its source is in it", m.Name)}
		case r.Rebuild: // of a folder that is opened with its patch, or the kernel's own
			continue
		case m.File == "":
			return nil, &bundle.Error{Path: r.Bundle.Path, Err: fmt.Errorf("the patch %s came to no module (%s): -rebuild tries again to make one of the source in the bundle, in the tool root", m.Name, r.Bundle.Answer)}
		}
		src := &patch.Source{Path: r.Bundle.File(m.File), Kind: patch.Prebuilt, Name: m.Name, Probes: m.Probes, Own: m.Own, Origin: origin}
		for _, f := range m.Cut {
			src.Cut = append(src.Cut, patch.Function{Object: f.Object, Name: f.Name, Sympos: f.Sympos})
		}
		all = append(all, src)
	}
	return all, nil
}

// opened is what is to be opened of a source.
func (r Repro) opened(s *bundle.Source) string {
	if s.Kind == string(patch.Instrument) {
		return s.Open
	}
	return r.Bundle.File(s.Open)
}

// origin is a source as it lies here.
func (r Repro) origin(s *bundle.Source) *patch.Given {
	if s == nil {
		return nil
	}
	g := &patch.Given{Open: s.Open, Kind: patch.Kind(s.Kind), Files: map[string]string{}}
	g.Options = patch.DiffOptions{Reverse: s.Reverse, Replace: s.Replace, Level: s.Level}
	if g.Kind == patch.Instrument {
		return g
	}
	// sources/NN/… -> …
	top := filepath.ToSlash(firstFolders(s.Open, 2))
	g.Open = s.Open[len(top)+1:]
	for _, f := range r.Bundle.Files {
		if len(f.Name) > len(top) && f.Name[:len(top)+1] == top+"/" {
			g.Files[f.Name[len(top)+1:]] = r.Bundle.File(f.Name)
		}
	}
	return g
}

// Once is one time that a bundle's run was done again.
type Once struct {
	Run    report.Run
	Answer bundle.Answer
	Same   bool
	// ToTheByte: a run by virtual time had the same timeline.
	ToTheByte bool
}

// Again does it once more; what it leaves goes to dir.
func (y *Yard) Again(ctx context.Context, re *Rehearsal, dir string) (Once, error) {
	p := re.Plan
	p.Dir = dir
	var r report.Run
	var err error
	if re.seed != nil {
		r, err = y.Deterministic(ctx, p, re.seed.Seed)
	} else {
		r, err = y.Run(ctx, p)
	}
	if r.Refused() {
		err = nil
	}
	if err != nil {
		return Once{Run: r}, err
	}
	a := bundle.AnswerOf(r)
	d := r.Deterministic
	return Once{Run: r, Answer: a, Same: re.want.Same(a), ToTheByte: d != nil && d.TimelineSHA256 == re.seed.TimelineSHA256}, nil
}
