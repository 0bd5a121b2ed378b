// SPDX-License-Identifier: Apache-2.0

// Package local makes kits from files at hand: the kernel that runs here, a
// vmlinuz with or without its modules, a built kernel tree, a folder that a
// distribution's packages were unpacked to.
//
// The user's files are looked at and copied from, or stay where they are
// (modules and headers) and are read there; nothing is ever written to them.
// Nothing is taken on trust either: release, build, architecture, config,
// modules and headers are held against each other, and what does not fit is
// told before a guest is started.
//
// What must not live here: fetching anything, and building kernels.
package local

import (
	"context"
	"fmt"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// ProviderName is the first part of the Source of each kit from here; the
// second is the path as the user wrote it, or kernels.HostKernel.
const ProviderName = "local"

// kitKind is the kind of cache entries that kits are.
const kitKind = "kernels"

// Provider makes kits of kernels at hand.
type Provider struct {
	Store *store.Store
	// Host is where the running kernel's files are looked for: the zero value
	// is this machine.
	Host Host
}

var (
	_ kernels.Provider     = (*Provider)(nil)
	_ kernels.PathProvider = (*Provider)(nil)
)

// Name is "local".
func (p *Provider) Name() string { return ProviderName }

// List lists nothing: a kernel at hand is tested when it is named, and is no
// answer to a version.
func (p *Provider) List(context.Context) ([]kernels.Candidate, error) { return nil, nil }

// FromPath looks at path, or at the running kernel for kernels.HostKernel. It
// takes every path. Errors: *kernels.SelectorError, *kernels.Lacking.
func (p *Provider) FromPath(_ context.Context, path string) (kernels.Candidate, bool, error) {
	s, k, err := p.look(path)
	if err != nil {
		return kernels.Candidate{}, true, err
	}
	c := kernels.Candidate{
		Release: s.release, Version: s.kitVersion(k), Source: ProviderName + ":" + path, Flavour: s.flavour,
		Cached: p.Store.Has(kitKind, entry(s, k)), HasHeaders: s.headersDir != "", Provider: ProviderName, Path: path,
	}
	if c.Cached {
		c.Dir = p.Store.Path(kitKind, entry(s, k))
	}
	return c, true, nil
}

func (p *Provider) look(path string) (s *survey, k sums, err error) {
	if path == kernels.HostKernel {
		s, err = p.Host.survey()
	} else {
		s, err = lookAt(path)
	}
	if err != nil {
		return nil, sums{}, err
	}
	k, err = s.sums()
	return s, k, err
}

// entry is the name of the cache entry.
func entry(s *survey, k sums) string { return ProviderName + "-" + s.release + "-" + k.image }

// Get makes the kit of c, which FromPath gave, or finds it in the cache.
// Errors: *kernels.SelectorError, *kernels.Lacking.
func (p *Provider) Get(ctx context.Context, c kernels.Candidate) (*kernels.Kit, error) {
	s, k, err := p.look(c.Path)
	if err != nil {
		return nil, err
	}
	if s.kitVersion(k) != c.Version {
		return nil, s.bad("it changed while it was looked at; run this again when nothing is written to it")
	}
	dir, err := p.Store.Make(ctx, kitKind, entry(s, k), func(_ context.Context, dir string) error {
		if err := s.fill(dir, k); err != nil {
			return err
		}
		if again, err := s.sums(); err != nil || again != k {
			return s.bad("it changed while it was read; run this again when nothing is written to it")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("get kernel %s: %w", c.Release, err)
	}
	kit, err := kernels.ReadKitFile(dir)
	if err != nil {
		return nil, err
	}
	if err := s.complete(kit, k); err != nil {
		return nil, err
	}
	return kit, nil
}
