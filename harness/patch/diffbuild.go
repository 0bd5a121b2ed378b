// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/switchyard-project/switchyard/harness/patch/diff"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
	"github.com/switchyard-project/switchyard/kernels"
)

// diffVersion is part of the name of every module made from a diff: a change
// of how they are made is a change of this.
const diffVersion = "diff v6"

// request is s, on the diffs below it, as package diff takes it.
func (s *Source) request(below []*Source) diff.Request {
	r := diff.Request{Name: s.Name, Replace: s.diff.Replace, Callbacks: s.diff.callbacks}
	for _, one := range append(below[:len(below):len(below)], s) {
		level := unified.Auto
		if one.diff.Level != nil {
			level = *one.diff.Level
		}
		r.Diffs = append(r.Diffs, diff.Part{Path: one.Path, Diff: one.diff.parsed, Level: level})
	}
	return r
}

// diffKey is a hash over all that decides the module.
func (s *Source) diffKey(below []*Source, kit *kernels.Kit) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s %s %s\n%s %t\n", diffVersion, kit.Release, kit.Version, filepath.Base(kit.Dir), s.Name, s.diff.Replace)
	for _, one := range append(below[:len(below):len(below)], s) {
		level := "found"
		if one.diff.Level != nil {
			level = fmt.Sprint(*one.diff.Level)
		}
		fmt.Fprintf(h, "%x %t %s\n", sha256.Sum256(one.diff.text), one.diff.Reverse, level)
	}
	if s.diff.callbacks != "" {
		text, err := os.ReadFile(s.diff.callbacks)
		if err != nil {
			return "", &InputError{s.diff.callbacks, err.Error(), err}
		}
		fmt.Fprintf(h, "callbacks %x\n", sha256.Sum256(text))
	}
	return s.Name + "-" + hex.EncodeToString(h.Sum(nil)[:12]), nil
}

func (b *Builder) diffDeps() diff.Deps {
	return diff.Deps{Store: b.Store, Archive: b.Archive, Root: b.Root, Progress: b.Progress}
}

// buildDiff makes the module of a diff, or finds it made. Beside the errors of
// Build there are *refusal.Refusal, several through go-multierror.
func (b *Builder) buildDiff(ctx context.Context, s *Source, below []*Source, kit *kernels.Kit) (*Module, error) {
	for _, one := range append(below[:len(below):len(below)], s) {
		if err := one.Unreadable(); err != nil {
			return nil, err
		}
	}
	key, err := s.diffKey(below, kit)
	if err != nil {
		return nil, err
	}
	cached := true
	dir, err := b.Store.Make(ctx, "modules", key, func(ctx context.Context, dir string) error {
		cached = false
		made, err := diff.Build(ctx, b.diffDeps(), kit, s.request(below), dir)
		if err != nil {
			return err
		}
		return writeManifest(dir, made)
	})
	if err != nil {
		return nil, atPath(s.Path, err)
	}
	m, err := b.loadMade(dir, s, kit)
	if err != nil {
		return nil, err
	}
	m.Cached, m.Manifest.Route = cached, RouteDiff
	if m.Manifest.Diff, err = readManifest(dir); err == nil {
		m.Manifest.Warnings = append(m.Manifest.Diff.Warnings, m.Manifest.Warnings...)
	}
	return m, err
}

// Check compares what the diff s changes with what the kernel has, function by
// function, and builds nothing. Errors as of Build.
func (b *Builder) Check(ctx context.Context, s *Source, kit *kernels.Kit) (*diff.Checked, error) {
	if s.Kind != Diff {
		return nil, &InputError{s.Path, "only a diff can be checked against the kernel's image", nil}
	}
	if err := s.Unreadable(); err != nil {
		return nil, err
	}
	checked, err := diff.Check(ctx, b.diffDeps(), kit, s.request(nil))
	return checked, atPath(s.Path, err)
}
