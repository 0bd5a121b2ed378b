// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
)

type startedLoad struct {
	id   int
	spec load.Spec
}

func (v *VM) startLoad(t testing.TB, s load.Spec) {
	t.Helper()
	id, err := v.Client.StartLoad(v.ctx, s)
	if err != nil {
		t.Fatalf("start load %s: %v", s.Name, v.Explain(err))
	}
	v.loads = append(v.loads, startedLoad{id, s})
}

// LoadsProgress waits until every load of the guest has done more work.
func (v *VM) LoadsProgress(t testing.TB) {
	t.Helper()
	start := map[int]uint64{}
	for {
		reading, err := v.Client.LoadStats(v.ctx)
		if err != nil {
			t.Fatalf("read the loads' counters: %v", v.Explain(err))
		}
		behind := 0
		for _, l := range reading.Loads {
			if l.Dead {
				t.Fatalf("load %s ended by itself: %s", l.Name, l.FirstError)
			}
			from, seen := start[l.ID]
			if !seen {
				start[l.ID] = l.Ops
			}
			if !seen || l.Ops < from+uint64(max(l.N, 1)) {
				behind++
			}
		}
		if behind == 0 {
			return
		}
	}
}

// stopLoads stops the guest's loads and fails the test for wrong results.
func (v *VM) stopLoads(t testing.TB) {
	t.Helper()
	for _, l := range v.loads {
		final, err := v.stopLoad(l.id)
		switch {
		case err != nil && v.dead:
		case err != nil:
			t.Errorf("stop load %s: %v", l.spec.Name, v.Explain(err))
		case final.Errors > 0:
			t.Errorf("load %s: %d wrong results, the first: %s", l.spec.Name, final.Errors, final.FirstError)
		case final.Dead:
			t.Errorf("load %s ended by itself: %s", l.spec.Name, final.FirstError)
		case final.Ops == 0 && !t.Skipped(): // a test that stops at once gives it no time
			t.Errorf("load %s did nothing", l.spec.Name)
		}
	}
	v.loads = nil
}

// StopLoads stops the guest's loads and gives their final counters, in the
// order in which they were started. It is for a case in which a load must see
// wrong results: they are the caller's to judge.
func (v *VM) StopLoads(t testing.TB) (final []observe.Load) {
	t.Helper()
	for _, l := range v.loads {
		last, err := v.stopLoad(l.id)
		if err != nil {
			t.Fatalf("stop load %s: %v", l.spec.Name, v.Explain(err))
		}
		final = append(final, last)
	}
	v.loads = nil
	return final
}

// stopLoad runs also in clean-up, when the test's own context is over.
func (v *VM) stopLoad(id int) (observe.Load, error) {
	ctx, cancel := cleanupContext()
	defer cancel()
	return v.Client.StopLoad(ctx, id)
}

// LoadNames are the names of all loads.
func LoadNames() []string { return load.Names() }
