// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"slices"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// tracedPatch is what is to be seen of a patch's functions.
func tracedPatch(m *patch.Module) observe.TracedPatch {
	p := observe.TracedPatch{Patch: m.Name, Replace: m.Manifest.Replace, Functions: []observe.TracedFunction{}}
	for _, f := range m.Manifest.Functions {
		p.Functions = append(p.Functions, observe.TracedFunction{Object: f.Object, Name: f.Name, Sympos: f.Sympos, New: f.NewName})
	}
	return p
}

// TraceCalls has the calls of the functions that modules patch be on the
// timeline from now on: see report.CallsOf. The modules must not be loaded yet.
// bufferKB is the size of each CPU's trace buffer, 0 for the usual one.
func (g *Guest) TraceCalls(ctx context.Context, bufferKB int, modules ...*patch.Module) error {
	r := channel.CallsRequest{BufferKB: bufferKB}
	for _, m := range modules {
		r.Patches = append(r.Patches, tracedPatch(m))
	}
	return g.orDeath(g.Client.TraceCalls(ctx, r))
}

// FlushCalls waits until all calls that were made until now are on the
// timeline.
func (g *Guest) FlushCalls(ctx context.Context) error {
	if err := g.Client.FlushCalls(ctx); err != nil {
		return g.orDeath(err)
	}
	return g.Fence(ctx)
}

// tracedModules are those whose functions' calls are to be seen: an
// instrument's stubs, which have no fentry site, count by themselves.
func (x *execution) tracedModules() []*patch.Module {
	if !x.Calls {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(x.modules), func(m *patch.Module) bool { return m.Manifest.Instrument != "" })
}

// traceCalls begins with the calls of all patches, before any of the loads.
func (x *execution) traceCalls(ctx context.Context) error {
	if modules := x.tracedModules(); len(modules) > 0 {
		return x.guest.TraceCalls(ctx, 0, modules...)
	}
	return nil
}

// endCalls has what is left of them told.
func (x *execution) endCalls(ctx context.Context) error {
	if !x.Calls {
		return nil
	}
	return x.guest.orDeath(x.guest.Client.EndCalls(ctx))
}
