// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

//go:embed warm/switchyard_warm.c
var warmSource []byte

// warmModule builds the live patch that warms a guest. A kernel for which
// none can be built has none: nil.
func (y *Yard) warmModule(ctx context.Context, kit *kernels.Kit) (*patch.Module, error) {
	m, err := y.builtIn(ctx, kit, "switchyard_warm", warmSource)
	if err != nil && ctx.Err() == nil {
		return nil, nil
	}
	return m, err
}

// warm does once what every run does, so that its forks find it done: the
// agent's calls and its heap, the caches of the kernel's allocators, the way of
// a module and of a transition through the kernel. m may be nil.
func (g *Guest) warm(ctx context.Context, m *patch.Module) error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"list the modules", func() error { _, err := g.Client.Modules(ctx); return err }},
		{"list the livepatches", func() error { _, err := g.Client.Livepatches(ctx); return err }},
		{"read a file", func() error { _, err := g.Client.ReadFile(ctx, "/proc/cmdline"); return err }},
		{"read the clock", func() error { _, err := g.Client.Now(ctx); return err }},
		{"prepare the tracing of calls", func() error { return g.Client.PrepareCalls(ctx) }},
		{"run a load", func() error { return g.warmLoad(ctx) }},
		{"apply a patch", func() error { return g.warmPatch(ctx, m) }},
		{"read the log", func() error { return g.Fence(ctx) }},
	}
	for range 2 { // the second time, the first one's memory is used again
		for _, s := range steps {
			if err := s.do(); err != nil {
				return fmt.Errorf("warm the guest: %s: %w", s.name, g.orDeath(err))
			}
		}
	}
	return nil
}

func (g *Guest) warmLoad(ctx context.Context) error {
	id, err := g.Client.StartLoad(ctx, load.Spec{Name: "fork", N: 1})
	if err != nil {
		return err
	}
	if _, err := g.Client.LoadStats(ctx); err != nil {
		return err
	}
	_, err = g.Client.StopLoad(ctx, id)
	return err
}

func (g *Guest) warmPatch(ctx context.Context, m *patch.Module) error {
	if m == nil {
		return nil
	}
	a, err := g.Apply(ctx, m, 0)
	if err == nil && a.Done() {
		a, err = g.Disable(ctx, m, 0)
	}
	if err == nil && !a.Done() {
		err = errUnfinished
	}
	if err != nil {
		return err
	}
	return g.Unload(ctx, m.Name)
}
