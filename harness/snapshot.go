// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
)

// Snapshot is a guest at one moment. It lasts as long as the test that took
// it.
type Snapshot struct {
	of       *VM
	loads    []startedLoad
	modules  []*patch.Module
	snapshot *run.Snapshot
}

// Snapshot takes a snapshot of the guest at this moment, whatever it is doing:
// loads running, a transition half done. The guest goes on as if nothing had
// been. The snapshot holds all of the guest's memory that is in use, some
// 100 MB.
func (v *VM) Snapshot(t testing.TB) *Snapshot {
	t.Helper()
	dir, remove, err := v.yard.Store.Scratch("snapshot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	began := time.Now()
	s, err := v.Guest.Snapshot(v.ctx, filepath.Join(dir, "guest"))
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Logf("%s: snapshot, %d ms", v.Kit.Release, time.Since(began).Milliseconds())
	return &Snapshot{of: v, loads: slices.Clone(v.loads), modules: v.modules(), snapshot: s}
}

// Fork starts n guests that go on where the snapshot was taken, each for the
// length of the test and with everything that a guest of Boot's has: its loads
// are looked at, its kernel's log is searched, its evidence has a folder of
// its own. They share the turn of the guest they come from (-vms), so start
// many of them one after the other, in subtests.
//
// Commands of the guest (Start) go on in the forks, but only the test that
// started one can Wait for it, in the guest where it did.
func (s *Snapshot) Fork(t testing.TB, n int) []*VM {
	t.Helper()
	forks := make([]*VM, n)
	dir := artifacts(t, s.of.yard)
	for i := range forks {
		forks[i] = s.fork(t, dir)
	}
	return forks
}

func (s *Snapshot) fork(t testing.TB, dir string) *VM {
	t.Helper()
	v := &VM{Kit: s.of.Kit, yard: s.of.yard, ctx: testContext(t), options: s.of.options, loads: slices.Clone(s.loads), before: s.modules}
	c := &v.options.config
	var err error
	if c.Dir, err = os.MkdirTemp(dir, "fork-"); err != nil {
		t.Fatal(err)
	}
	if d, ok := v.ctx.Deadline(); ok {
		c.Deadline = d
	}
	c.Companion = true
	if v.Guest, err = v.yard.Fork(v.ctx, s.snapshot, *c); err != nil {
		t.Fatalf("%+v\nevidence: %s", err, c.Dir)
	}
	t.Logf("%s: %s, %d ms", v.Kit.Release, v.Origin.Title(), v.StartWall.Milliseconds())
	t.Cleanup(func() { v.finish(t) })
	return v
}

// Pause stops the guest's CPUs and clocks until Resume, so that it takes no CPU
// from its forks. The guest does not notice.
func (v *VM) Pause(t testing.TB) {
	t.Helper()
	if err := v.Machine.Stop(v.ctx); err != nil {
		t.Fatalf("pause the guest: %v", v.Explain(err))
	}
	t.Cleanup(func() { // a paused guest could not be powered off
		ctx, cancel := cleanupContext()
		defer cancel()
		_ = v.Machine.Cont(ctx)
	})
}

// Resume lets a paused guest go on.
func (v *VM) Resume(t testing.TB) {
	t.Helper()
	if err := v.Machine.Cont(v.ctx); err != nil {
		t.Fatalf("let the guest go on: %v", v.Explain(err))
	}
}

// In is the patch in v, a fork of the guest that it was applied in.
func (p *Patch) In(v *VM) *Patch {
	there := *p
	there.vm = v
	return &there
}
