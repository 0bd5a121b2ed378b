// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels"
)

// Inserted are the modules that were loaded into the guest by Insert or were
// there by its layer, in order.
func (g *Guest) Inserted() []*patch.Module {
	g.insertedMu.Lock()
	defer g.insertedMu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.inserted), func(m *patch.Module) bool { return m == g.timer })
}

// CaseGuest is a guest of a Go test, for its bundle.
type CaseGuest struct {
	*Guest
	Config  GuestConfig
	Case    bundle.Case
	Modules []*patch.Module // in the order in which they came
	Loads   []load.Spec
}

// BundleCase writes a bundle of a test's guest, which has been closed, into the
// guest's folder: its kernel's identity, image, machine, modules and logs. What
// the test did with them is Go, and not in it; such a bundle is to be looked
// at, and tells how to run the test again.
func (y *Yard) BundleCase(g CaseGuest) (file string, err error) {
	c := &bundle.Content{Manifest: bundle.Manifest{
		Machine: bundle.Machine{
			Accel: string(g.Accel), VCPUs: g.CPUs, MemMiB: g.MemMiB, QEMU: g.QEMU.Version + " (" + g.QEMU.Origin + ")",
			Start: cmp.Or(g.Origin.Start, StartFork), Append: g.Config.Append,
		},
		StallAfterNS: int64(DefaultStallAfter), Expected: string(check.VerdictComplete),
		Loads: g.Loads, Case: &g.Case, Command: g.Case.Again,
	}}
	b := &bundling{Content: c, yard: y}
	provider, _, _ := strings.Cut(g.Kit.Source, ":")
	if err := b.kernel(g.Kit, kernels.Candidate{Release: g.Kit.Release, Provider: provider}, nil); err != nil {
		return "", err
	}
	if err := b.image(images.Spec{Kit: g.Kit, Files: g.Config.Files, Commands: g.Config.Commands}); err != nil {
		return "", err
	}
	var seen []string
	for i, m := range g.Modules {
		if slices.Contains(seen, m.Name) { // loaded again
			continue
		}
		seen = append(seen, m.Name)
		mod := bundle.Module{}
		number := fmt.Sprintf("%02d", i)
		if err := b.module(&mod, m, number+"-"); err != nil {
			return "", err
		}
		if m.Source != nil && !m.Own {
			mod.Probes = m.Source.Probes
			if err := b.source(&mod, m.Source, number); err != nil {
				return "", err
			}
		}
		if m.Manifest.Patches() {
			b.Patches = append(b.Patches, mod)
		} else {
			b.With = append(b.With, mod)
		}
	}
	if err := b.logs(g.Dir, ""); err != nil {
		return "", err
	}
	file = filepath.Join(g.Dir, bundle.FileName)
	return file, c.Save(file)
}
