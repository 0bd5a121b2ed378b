// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Seeds are what a search tries: N of them, from First on.
type Seeds struct {
	First int64
	N     int
	// Repro is the command line that shows one of them again; may be nil.
	Repro func(seed int64) string
	// Tried hears of each run when it is judged, one at a time; may be nil.
	Tried func(done int, r report.Run)
}

// exampleSeeds is how many seeds are told of each verdict.
const exampleSeeds = 10

// Search carries out a plan once for each seed, as many at a time as may run
// (Options.VMs), all from the same few snapshots. The report has the verdicts,
// the rarest first; the runs are the first example of each, in this order,
// and only their folders, seed-N in p.Dir, stay.
func (y *Yard) Search(ctx context.Context, p Plan, seeds Seeds) (report.Search, []report.Run, error) {
	s := &search{Seeds: seeds, classes: map[string]*class{}, timelines: map[string]bool{}}
	first := newRehearsal(y, p)
	s.kernel, s.expected = p.Kernel.Release, string(first.Expected)
	if err := first.prepare(ctx); err != nil {
		return s.report(), nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	workers := y.VMs
	if workers == 0 {
		workers = defaultVMs(vm.TCG)
	}
	var group sync.WaitGroup
	for range min(workers, seeds.N) {
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
	result, runs := s.report(), s.examples()
	if cause := context.Cause(ctx); cause != nil {
		return result, runs, cause
	}
	return result, runs, nil
}

// again carries out the plan of x, which is prepared, with a seed.
func (x *execution) again(ctx context.Context, seed int64, repro string) (report.Run, error) {
	plan := *x.Plan
	plan.Dir, plan.Step = filepath.Join(x.Dir, fmt.Sprintf("seed-%d", seed)), nil
	if repro != "" {
		plan.Repro = repro
	}
	one := &execution{Plan: &plan, yard: x.yard, kit: x.kit, with: x.with, modules: x.modules}
	err := one.open()
	if err == nil {
		err = one.rehearse(ctx, seed, one.forkMailbox)
	}
	return one.close(err)
}

// search is a search while it goes on.
type search struct {
	Seeds
	kernel, expected string

	mu        sync.Mutex
	given     int // seeds given out
	done      int
	classes   map[string]*class // by verdict
	timelines map[string]bool   // by their sums
}

// class is the seeds with one verdict.
type class struct {
	seeds   []int64
	example report.Run // of the lowest seed
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
	s.done++
	if r.Deterministic != nil {
		s.timelines[r.Deterministic.TimelineSHA256] = true
	}
	c := s.classes[r.Verdict]
	drop := r.Artifacts.Dir
	switch {
	case c == nil:
		s.classes[r.Verdict] = &class{seeds: []int64{seed}, example: r}
		drop = ""
	case seed < slices.Min(c.seeds):
		drop, c.example = c.example.Artifacts.Dir, r
		fallthrough
	default:
		c.seeds = append(c.seeds, seed)
	}
	if drop != "" {
		os.RemoveAll(drop)
	}
	if s.Tried != nil {
		s.Tried(s.done, r)
	}
}

// rarest are the verdicts, the rarest first.
func (s *search) rarest() []string {
	var verdicts []string
	for v := range s.classes {
		verdicts = append(verdicts, v)
	}
	slices.SortFunc(verdicts, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(s.classes[a].seeds), len(s.classes[b].seeds)), cmp.Compare(a, b))
	})
	return verdicts
}

func (s *search) report() report.Search {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := report.Search{Release: s.kernel, FirstSeed: s.First, Seeds: s.done, Timelines: len(s.timelines), Verdicts: []report.Found{}}
	for _, v := range s.rarest() {
		c := s.classes[v]
		slices.Sort(c.seeds)
		out.Verdicts = append(out.Verdicts, report.Found{
			Verdict: v, Expected: v == s.expected, Count: len(c.seeds), Reason: c.example.Reason, Repro: c.example.Repro,
			Seeds: slices.Clone(c.seeds[:min(len(c.seeds), exampleSeeds)]),
		})
	}
	return out
}

func (s *search) examples() []report.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var runs []report.Run
	for _, v := range s.rarest() {
		runs = append(runs, s.classes[v].example)
	}
	return runs
}
