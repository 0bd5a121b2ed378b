// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// bundle writes the run's bundle, if it is to have one, and notes in the run's
// log where it lies. The log is at its end; that no bundle can be written is a
// warning, for the evidence itself is there.
func (x *execution) bundle() {
	if x.Bundle == "" || x.Bundle == bundle.Never || x.kit == nil {
		return
	}
	r, unread := report.FromLogs(x.Dir)
	// Without a verdict there is nothing that could come again.
	if unread != nil || r.Verdict == "" || (x.Bundle == bundle.Auto && r.AsExpected()) {
		return
	}
	without := r.Artifacts
	with := without
	with.Dir, with.Bundle = x.Dir, bundle.FileName
	file := filepath.Join(x.Dir, bundle.FileName)
	// What the report says of the bundle is in the logs before they are in the
	// bundle.
	x.facts(map[string]any{"artifacts": with, "repro": x.Again(file), "command": x.Repro})
	if err := x.saveBundle(file); err != nil {
		x.facts(map[string]any{"artifacts": without, "repro": x.Repro, "command": ""})
		x.find(observe.FoundWarning, "no bundle could be written: %v", store.DiskFull(err, x.Dir))
	}
}

// Again is the command line that does p's run again from its bundle, the file
// at path. It names a kernel at hand that the bundle holds no copy of: a path
// that a bundle names is looked for on nobody's machine.
func (p *Plan) Again(path string) string {
	words := []string{"switchyard", "repro", path}
	if at := p.Kernel.Path; at != "" && p.Bundle != bundle.Full {
		// "~" is for who opens it.
		if at != kernels.HostKernel && !strings.HasPrefix(at, "~") {
			if whole, err := filepath.Abs(at); err == nil {
				at = whole
			}
		}
		words = append(words, "-kernel", at)
	}
	return shellescape.QuoteCommand(words)
}

// saveBundle writes the bundle at file.
func (x *execution) saveBundle(file string) error {
	r, err := report.FromLogs(x.Dir)
	if err != nil {
		return err
	}
	scratch, remove, err := x.yard.Store.Scratch("bundle")
	if err != nil {
		return err
	}
	defer remove()
	c := &bundle.Content{Manifest: bundle.Manifest{
		Machine: bundle.Machine{
			Accel: r.Accel, VCPUs: cmp.Or(r.Machine.VCPUs, x.Guest.CPUs), MemMiB: cmp.Or(r.Machine.MemMiB, x.Guest.MemMiB),
			QEMU: r.Machine.QEMU, Start: cmp.Or(r.Machine.Start, StartFork), Append: x.Guest.Append,
		},
		StallAfterNS: int64(cmp.Or(x.StallAfter, DefaultStallAfter)),
		Futures:      x.Futures,
		Calls:        &x.Calls,
		Interruption: &x.Interruption,
		Expected:     string(x.Expected),
		Answer:       bundle.AnswerOf(r),
		Command:      x.Repro,
	}}
	if c.Loads = x.Loads; x.Loads == nil && len(x.modules) > 0 {
		c.Loads = x.specs()
	}
	if d := r.Deterministic; d != nil {
		c.Deterministic = &bundle.Deterministic{Seed: d.Seed, TimelineSHA256: d.TimelineSHA256}
	}
	single := report.Report{Runs: []report.Run{r}}
	if err := single.Save(filepath.Join(scratch, "report.json")); err != nil {
		return err
	}
	b := &bundling{Content: c, yard: x.yard, full: x.Bundle == bundle.Full}
	steps := []func() error{
		func() error { return b.kernel(x.kit, x.Kernel, x.Identity) },
		func() error {
			return b.image(images.Spec{Kit: x.kit, Files: x.Guest.Files, Commands: x.Guest.Commands})
		},
		func() error { return b.patches(x) },
		func() error { return b.logs(x.Dir, filepath.Join(scratch, "report.json")) },
		func() error { return b.recording(x.Dir, r.Artifacts.Recording, x.kit) },
		func() error { return c.Save(file) },
	}
	for _, do := range steps {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// bundling is a bundle while it is put together.
type bundling struct {
	*bundle.Content
	yard *Yard
	full bool
}

// kernel describes the kernel, and puts it in if the bundle is a full one.
func (b *bundling) kernel(kit *kernels.Kit, c kernels.Candidate, known *bundle.Kernel) error {
	k := &b.Kernel
	*k = bundle.Kernel{
		Release: kit.Release, Version: kit.Version, Source: kit.Source, Flavour: kit.Flavour,
		Provider: c.Provider, Selector: cmp.Or(c.Selector(), kit.Release), Checksum: c.Checksum,
	}
	if k.Provider == "" {
		k.Provider, _, _ = strings.Cut(kit.Source, ":")
	}
	same, needed, err := b.yard.kernelSums(kit)
	if err != nil {
		return err
	}
	k.Image, k.Config, k.Needed = same.Image, same.Config, same.Needed
	if known != nil {
		k.Version, k.Source, k.Flavour, k.Provider, k.Selector, k.Checksum = known.Version, known.Source, known.Flavour, known.Provider, known.Selector, known.Checksum
	}
	if k.Full = b.full; !b.full {
		return nil
	}
	image := "vmlinux"
	if kit.NoPVH {
		image = "vmlinuz"
	}
	modules := path.Join(bundle.KernelDir, "lib/modules", kit.Release)
	add := map[string]string{path.Join(bundle.KernelDir, image): kit.BootImage()}
	if kit.ConfigFile != "" && !kit.ConfigDeduced {
		add[path.Join(bundle.KernelDir, "config")] = kit.ConfigFile
	}
	if kit.ModulesDir != "" {
		add[path.Join(modules, "modules.builtin")] = filepath.Join(kit.ModulesDir, "modules.builtin")
	}
	for _, file := range needed {
		add[path.Join(modules, "kernel", filepath.Base(file))] = file
	}
	for name, at := range add {
		if err := b.Add(name, at); err != nil {
			return err
		}
	}
	return nil
}

// kernelSums are the sums of kit's files, and which files a guest needs. A
// search over seeds leaves bundles by the hundred, all of one kernel.
func (y *Yard) kernelSums(kit *kernels.Kit) (k bundle.Kernel, needed []string, err error) {
	if needed, err = (images.Spec{Kit: kit}).BootModules(); err != nil {
		return k, nil, err
	}
	if known, ok := y.bundled.Load(kit.BootImage()); ok {
		return known.(bundle.Kernel), needed, nil
	}
	if k.Image, err = sumOf(kit.BootImage()); err != nil {
		return k, nil, err
	}
	if kit.ConfigFile != "" {
		if k.Config, err = sumOf(kit.ConfigFile); err != nil {
			return k, nil, err
		}
	}
	for _, file := range needed {
		sum, err := sumOf(file)
		if err != nil {
			return k, nil, err
		}
		k.Needed = append(k.Needed, sum)
	}
	y.bundled.Store(kit.BootImage(), k)
	return k, needed, nil
}

// imageSums is an image with its sums; it was built for the run.
func (y *Yard) imageSums(spec images.Spec) (*images.Image, error) {
	key := fmt.Sprintf("image %s %t", spec.Kit.BootImage(), spec.Commands)
	if known, ok := y.bundled.Load(key); ok && len(spec.Files) == 0 {
		return known.(*images.Image), nil
	}
	image, err := spec.Build(context.Background(), y.Store)
	if err == nil && len(spec.Files) == 0 {
		y.bundled.Store(key, image)
	}
	return image, err
}

// image describes the initramfs.
func (b *bundling) image(spec images.Spec) error {
	image, err := b.yard.imageSums(spec)
	if err != nil {
		return err
	}
	b.Image = bundle.Image{SHA256: image.Digest, Agent: image.Agent, Commands: spec.Commands}
	for _, f := range spec.Files {
		sum := sha256.Sum256(f.Content)
		b.Image.Files = append(b.Image.Files, bundle.Sum{Name: f.Path, SHA256: hex.EncodeToString(sum[:])})
	}
	version := "unknown"
	if qemu, err := b.yard.FindQEMU(context.Background()); err == nil {
		version = qemu.Version
	}
	b.Made = bundle.MadeHere(version)
	return nil
}

// patches puts in the modules of a run and what they were made from; of the
// measurement's own the program has the source.
func (b *bundling) patches(x *execution) error {
	for i, src := range x.Patches {
		mod := bundle.Module{Name: src.Name, Probes: src.Probes}
		if i < len(x.modules) {
			if err := b.module(&mod, x.modules[i], fmt.Sprintf("%02d-", i)); err != nil {
				return err
			}
		}
		if err := b.source(&mod, src, fmt.Sprintf("%02d", i)); err != nil {
			return err
		}
		b.Patches = append(b.Patches, mod)
	}
	for i, m := range x.with {
		mod := bundle.Module{}
		if err := b.module(&mod, m, fmt.Sprintf("with-%02d-", i)); err != nil {
			return err
		}
		// What a patch's own folder brings along is there with the patch.
		if slices.Contains(x.With, m.Source) {
			if err := b.source(&mod, m.Source, fmt.Sprintf("with-%02d", i)); err != nil {
				return err
			}
		}
		b.With = append(b.With, mod)
	}
	if x.timer == nil {
		return nil
	}
	b.Timer = &bundle.Module{}
	return b.module(b.Timer, x.timer, "timer-")
}

func (b *bundling) module(mod *bundle.Module, m *patch.Module, prefix string) error {
	mod.Name, mod.SHA256, mod.Own, mod.Route = m.Name, m.SHA256, m.Own, m.Manifest.BuiltBy()
	mod.File = path.Join(bundle.ModulesDir, prefix+m.Name+".ko")
	for _, f := range m.Manifest.Functions {
		mod.Functions = append(mod.Functions, bundle.Function{Object: f.Object, Name: f.Name, Sympos: f.Sympos})
	}
	if m.Source != nil {
		for _, f := range m.Source.Cut {
			mod.Cut = append(mod.Cut, bundle.Function{Object: f.Object, Name: f.Name, Sympos: f.Sympos})
		}
	}
	return b.Add(mod.File, m.Path)
}

func (b *bundling) source(mod *bundle.Module, src *patch.Source, folder string) error {
	g := src.Given()
	mod.Source = &bundle.Source{Kind: string(g.Kind), Open: g.Open, Reverse: g.Options.Reverse, Replace: g.Options.Replace, Level: g.Options.Level}
	if g.Kind == patch.Instrument {
		return nil
	}
	top := path.Join(bundle.SourcesDir, folder)
	mod.Source.Open = path.Join(top, g.Open)
	for name, at := range g.Files {
		if err := b.Add(path.Join(top, name), at); err != nil {
			return err
		}
	}
	return nil
}

// logs puts in what the run in dir saw, and its report, if there is one.
func (b *bundling) logs(dir, report string) error {
	for _, name := range []string{observe.RunFile, observe.TimelineFile, "serial.log", "qmp.jsonl", "qemu.log", "cmdline.txt"} {
		if err := b.Add(path.Join(bundle.LogsDir, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if report == "" {
		return nil
	}
	return b.Add(path.Join(bundle.LogsDir, "report.json"), report)
}

// recording puts in what a replay of a recorded run needs.
func (b *bundling) recording(dir, file string, kit *kernels.Kit) error {
	if file == "" {
		return nil
	}
	b.Recording = true
	for _, name := range []string{RecordingFile, logFile, initrdFile, planFile, resultsFile, "serial.log"} {
		if err := b.Add(path.Join(bundle.RecordingDir, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if !b.full {
		return nil
	}
	return b.Add(path.Join(bundle.RecordingDir, kernelFile), kit.VMLinux)
}

// sumOf is the identity of the file at path.
func sumOf(path string) (bundle.Sum, error) {
	sum, err := store.HashFile(path)
	if err != nil {
		return bundle.Sum{}, err
	}
	return bundle.Sum{Name: filepath.Base(path), SHA256: sum}, nil
}
