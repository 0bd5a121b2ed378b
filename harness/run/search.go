// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Seeds are what a search tries: N of them, from First on.
type Seeds struct {
	First int64
	N     int
	// Repro is the command line that shows one of them again; may be nil.
	Repro func(seed int64) string
	// Tried hears of each seed when its run is judged, one at a time; may be
	// nil.
	Tried func(done int, t report.Tried)
}

// Search carries out a plan once for each seed, as many at a time as may run
// (Options.VMs), all from the same few snapshots. The report has the verdicts,
// the rarest first; the runs are the first example of each, in this order,
// and only their folders, seed-N in p.Dir, stay.
func (y *Yard) Search(ctx context.Context, p Plan, seeds Seeds) (report.Search, []report.Run, error) {
	s := &search{Seeds: seeds, folder: filepath.Base(p.Dir), examples: map[string]report.Run{}}
	first := newRehearsal(y, p)
	s.kernel, s.expected = p.Kernel.Release, string(first.Expected)
	if err := Clear(p.Dir); err != nil { // a run that was no search
		return report.Search{}, nil, err
	}
	if err := first.prepare(ctx); err != nil {
		none, _ := s.report()
		return none, nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group sync.WaitGroup
	for range min(y.AtOnce(), seeds.N) {
		group.Go(func() {
			for seed, more := s.next(); more && ctx.Err() == nil; seed, more = s.next() {
				r, err := first.again(ctx, seed, s.repro(seed))
				if err != nil {
					stop(fmt.Errorf("seed %d: %w", seed, store.DiskFull(err, p.Dir)))
					return
				}
				s.tried(seed, r)
			}
		})
	}
	group.Wait()
	result, runs := s.report()
	if cause := context.Cause(ctx); cause != nil {
		return result, runs, cause
	}
	return result, runs, nil
}

// again carries out the plan of x, which is prepared, with a seed.
func (x *execution) again(ctx context.Context, seed int64, repro string) (report.Run, error) {
	plan := *x.Plan
	plan.Dir, plan.Step = filepath.Join(x.Dir, report.SeedFolder(seed)), nil
	if repro != "" {
		plan.Repro = repro
	}
	one := &execution{Plan: &plan, yard: x.yard, kit: x.kit, with: x.with, modules: x.modules, timer: x.timer}
	err := one.open()
	if err == nil {
		err = one.rehearse(ctx, seed, one.forkMailbox)
	}
	return one.close(err)
}

// search is a search while it goes on.
type search struct {
	Seeds
	kernel, expected, folder string

	mu       sync.Mutex
	given    int // seeds given out
	all      []report.Tried
	examples map[string]report.Run // of the lowest seed, by verdict
}

func (s *search) next() (seed int64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == s.N {
		return 0, false
	}
	s.given++
	return s.First + int64(s.given-1), true
}

func (s *search) repro(seed int64) string {
	if s.Repro == nil {
		return ""
	}
	return s.Repro(seed)
}

// tried takes in a run, and removes the folder of the one that is no example.
func (s *search) tried(seed int64, r report.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := report.Tried{
		Run: s.folder, Release: s.kernel, Seed: seed, FirstSeed: s.First,
		Verdict: r.Verdict, Expected: s.expected, Reason: r.Reason, Repro: r.Repro,
	}
	if r.Deterministic != nil {
		t.TimelineSHA256 = r.Deterministic.TimelineSHA256
	}
	s.all = append(s.all, t)
	drop := r.Artifacts.Dir
	if old, known := s.examples[r.Verdict]; !known || seed < *old.Seed {
		s.examples[r.Verdict], drop = r, old.Artifacts.Dir
	}
	if drop != "" {
		os.RemoveAll(drop)
	}
	if s.Tried != nil {
		s.Tried(len(s.all), t)
	}
}

func (s *search) report() (report.Search, []report.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := report.SearchOf(s.all)
	out.Release, out.FirstSeed = s.kernel, s.First
	var runs []report.Run
	for _, f := range out.Verdicts {
		runs = append(runs, s.examples[f.Verdict])
	}
	return out, runs
}
