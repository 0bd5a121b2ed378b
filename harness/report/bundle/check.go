// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

// mostModules bounds the modules and loads of a bundle, longestStall the guest
// time that one waits.
const (
	mostModules  = 256
	longestStall = 24 * time.Hour
)

var (
	// kernelFile are the entries that a kernel consists of. A kit.json or a
	// Makefile among them would have the folder taken for something that names
	// files elsewhere on this machine.
	kernelFile = regexp.MustCompile(`^kernel/(vmlinux|vmlinuz|config|lib/modules/[^/]+/(modules\.builtin|kernel/[A-Za-z0-9_-]+\.ko(\.xz|\.zst|\.gz)?))$`)
	moduleName = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
	sha256Sum  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// check holds what a stranger wrote to what a run can be made of.
func (m *Manifest) check(l Limits) error {
	files, err := m.checkFiles(l)
	if err != nil {
		return err
	}
	switch {
	case !kernels.IsRelease(m.Kernel.Release):
		return fmt.Errorf("%q is no kernel's release", m.Kernel.Release)
	case m.Machine.VCPUs < 0 || m.Machine.VCPUs > l.VCPUs:
		return fmt.Errorf("the machine has %d vCPUs, and %d may be", m.Machine.VCPUs, l.VCPUs)
	case m.Machine.MemMiB < 0 || m.Machine.MemMiB > l.MemMiB:
		return fmt.Errorf("the machine has %d MiB, and %d may be", m.Machine.MemMiB, l.MemMiB)
	case m.StallAfterNS < 0 || time.Duration(m.StallAfterNS) > longestStall:
		return fmt.Errorf("a stall after %v, and %v may be", time.Duration(m.StallAfterNS), longestStall)
	case len(m.Patches)+len(m.With)+len(m.Loads) > mostModules:
		return fmt.Errorf("%d modules and loads, and %d may be", len(m.Patches)+len(m.With)+len(m.Loads), mostModules)
	case !slices.Contains(check.Verdicts, check.Verdict(m.Expected)):
		return fmt.Errorf("%q is no verdict to expect", m.Expected)
	case m.Deterministic != nil && m.Deterministic.Seed < 0:
		return fmt.Errorf("seed %d is negative", m.Deterministic.Seed)
	}
	var seen []string
	modules := slices.Concat(m.With, m.Patches)
	if m.Timer != nil {
		if m.Timer.File == "" {
			return fmt.Errorf("the timer %s has no module", m.Timer.Name)
		}
		modules = append(modules, *m.Timer)
	}
	for _, mod := range modules {
		if err := mod.check(files); err != nil {
			return err
		}
		if slices.Contains(seen, mod.Name) {
			return fmt.Errorf("two modules are called %s", mod.Name)
		}
		seen = append(seen, mod.Name)
	}
	for _, s := range m.Loads {
		if err := checkLoad(s); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles gives the entries.
func (m *Manifest) checkFiles(l Limits) (map[string]bool, error) {
	if len(m.Files) > l.Entries {
		return nil, fmt.Errorf("%d entries, and %d may be", len(m.Files), l.Entries)
	}
	files := map[string]bool{}
	total, last := int64(0), ""
	for _, f := range m.Files {
		if err := l.name(f.Name); err != nil {
			return nil, err
		}
		switch {
		case f.Name == ManifestFile, f.Name <= last:
			return nil, fmt.Errorf("%q is there twice, or out of order", f.Name)
		case f.Size < 0 || f.Size > l.Entry:
			return nil, fmt.Errorf("%q has %d bytes, and %d may be", f.Name, f.Size, l.Entry)
		case !sha256Sum.MatchString(f.SHA256):
			return nil, fmt.Errorf("%q has no SHA-256", f.Name)
		}
		if total += f.Size; total > l.Total {
			return nil, fmt.Errorf("the entries have more than %d bytes", l.Total)
		}
		if strings.HasPrefix(f.Name, KernelDir+"/") && !kernelFile.MatchString(f.Name) {
			return nil, fmt.Errorf("%q is no part of a kernel", f.Name)
		}
		files[f.Name], last = true, f.Name
	}
	return files, nil
}

func (mod *Module) check(files map[string]bool) error {
	if !moduleName.MatchString(mod.Name) {
		return fmt.Errorf("%q is no module's name", mod.Name)
	}
	if mod.File != "" && (!files[mod.File] || path.Dir(mod.File) != ModulesDir && !strings.HasPrefix(mod.File, ModulesDir+"/")) {
		return fmt.Errorf("module %s lies at %q, which is no entry for one", mod.Name, mod.File)
	}
	if err := mod.Source.check(mod.Name, files); err != nil {
		return err
	}
	for _, p := range mod.Probes {
		if !strings.HasPrefix(p.Read, "/") {
			return fmt.Errorf("module %s: a probe reads %q, which is no path", mod.Name, p.Read)
		}
		for _, re := range []string{p.Before, p.After} {
			if _, err := regexp.Compile(re); err != nil || re == "" {
				return fmt.Errorf("module %s: a probe's expression %q is none", mod.Name, re)
			}
		}
	}
	return nil
}

// check holds the source of the module name to the archive: what is opened is
// in it, or is the name of an instrument and no file's.
func (s *Source) check(name string, files map[string]bool) error {
	if s == nil {
		return nil
	}
	where := inSources(s.Open, files)
	if s.Kind == string(patch.Instrument) {
		where = patch.IsInstrument(s.Open)
	}
	if !where {
		return fmt.Errorf("the source of %s lies at %q, which is no entry for one", name, s.Open)
	}
	return nil
}

// inSources says whether open is an entry below SourcesDir, or a folder of such.
func inSources(open string, files map[string]bool) bool {
	if !strings.HasPrefix(open, SourcesDir+"/") || path.Clean(open) != open || strings.Count(open, "/") < 2 {
		return false
	}
	if files[open] {
		return true
	}
	for f := range files {
		if strings.HasPrefix(f, open+"/") {
			return true
		}
	}
	return false
}

func checkLoad(s load.Spec) error {
	if _, err := load.Find(s.Name); err != nil {
		return err
	}
	if s.N < 0 || s.N > load.MaxWorkers {
		return fmt.Errorf("load %s has %d workers, and %d may be", s.Name, s.N, load.MaxWorkers)
	}
	if s.Path != "" && !path.IsAbs(s.Path) {
		return fmt.Errorf("load %s reads %q, which is no path", s.Name, s.Path)
	}
	for _, re := range s.Accept {
		if _, err := regexp.Compile(re); err != nil {
			return errors.New("load " + s.Name + ": an expression of what is right is none")
		}
	}
	return nil
}
