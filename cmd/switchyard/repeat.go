// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
)

// repeatFlags are -repeat and -until of `switchyard run`.
type repeatFlags struct {
	repeat int
	until  string
}

const repeatExamples = `  switchyard run fix/ -kernel 6.1 -repeat 20                   medians, and how sure they are
  switchyard run fix/ -kernel 6.1 -until stalled -repeat 100   until one stalls: exit status 0 if one did`

func (f *repeatFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.repeat, "repeat", 1, "run this many times on each kernel, and sum up; with -deterministic, seeds from -seed on")
}

func (f *repeatFlags) registerUntil(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.until, "until", "", "stop at the first run with this verdict, or unexpected: exit status 0 if there was one, 1 if none came in -repeat runs")
	cmd.Example += "\n" + repeatExamples
	_ = cmd.RegisterFlagCompletionFunc("until", cobra.FixedCompletions(untilChoices(), cobra.ShellCompDirectiveNoFileComp))
}

func untilChoices() (all []string) {
	for _, v := range check.Verdicts {
		all = append(all, string(v))
	}
	return append(all, report.Unexpected)
}

func (f *repeatFlags) check(cmd *cobra.Command, s *seedFlags) error {
	switch {
	case f.repeat < 1:
		return usageError{fmt.Errorf("-repeat %d: must be at least 1", f.repeat)}
	case f.until != "" && !slices.Contains(untilChoices(), f.until):
		return usageError{fmt.Errorf("-until %s: must be one of %v", f.until, untilChoices())}
	case f.until != "" && !cmd.Flags().Changed("repeat"):
		return usageError{errors.New("-until needs -repeat: how many runs to try at most")}
	case f.repeated() && s.seeds > 0:
		return usageError{errors.New("-seeds is a search of its own: leave -repeat away, or take -deterministic with it, which tries as many seeds and keeps each run")}
	case f.repeated() && s.record:
		return usageError{errors.New("-record is for one run: leave -repeat away")}
	}
	return nil
}

// repeated says whether the report sums up.
func (f *repeatFlags) repeated() bool { return f.repeat > 1 || f.until != "" }

// folders are those of the runs of one plan, which has one of that name.
func (f *repeatFlags) folders(name string) []string {
	if !f.repeated() {
		return []string{name}
	}
	var all []string
	for i := range f.repeat {
		all = append(all, filepath.Join(name, fmt.Sprintf("repeat-%0*d", len(fmt.Sprint(f.repeat)), i+1)))
	}
	return all
}

// errFound ends what still runs once what -until wants was found, and errVain
// what would come to no guest either.
var (
	errFound = errors.New("what was waited for was found")
	errVain  = errors.New("it would be the same again")
)

// planned is a plan that may be carried out more than once.
type planned struct {
	run.Plan
	repro func(seed int64) string // the command line that does one again
}

// series are the runs of one plan.
type series struct {
	planned
	folders []string
	ctx     context.Context
	stop    context.CancelCauseFunc
	ended   int // runs
}

// batch is what goes into one folder, with one log.
type batch struct {
	dir   string
	plans []planned
}

// repeats are the runs of a batch, while they come.
type repeats struct {
	*runFlags
	report.Command
	log  *report.CommandLog
	dir  string
	all  []*series
	stop context.CancelCauseFunc

	mu   sync.Mutex
	done map[string]report.Run // by folder
	errs []error
}

// runPlans carries out plans as often as is asked, their runs by turns, so that
// what the host does meanwhile falls on all alike. What keeps one plan from a
// verdict does not keep the others from theirs; the reports, one for each
// batch, hold all runs that booted.
func (f *runFlags) runPlans(ctx context.Context, y *run.Yard, scr *screen, batches ...batch) ([]report.Report, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all []*repeats
	workers := 0
	for _, b := range batches {
		r, err := f.begin(ctx, b)
		if err != nil {
			return nil, err
		}
		r.stop = stop
		all, workers = append(all, r), workers+len(b.plans) // kernels are fetched side by side
	}
	turns := make(chan func(), workers*f.repeat)
	for i := range f.repeat {
		for _, r := range all {
			for _, s := range r.all {
				turns <- func() { r.one(y, scr, s, i) }
			}
		}
	}
	close(turns)
	if f.repeated() {
		workers = y.AtOnce()
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for turn := range turns {
				turn()
			}
		})
	}
	group.Wait()
	var reports []report.Report
	var failed []error
	for _, r := range all {
		if err := r.log.Close(); err != nil {
			return nil, err
		}
		reports = append(reports, r.Report(r.done, r.log.Dropped()))
		failed = append(failed, r.errs...)
	}
	return reports, failure(failed)
}

// begin notes what there is to be: it is known from the start.
func (f *runFlags) begin(ctx context.Context, b batch) (*repeats, error) {
	r := &repeats{runFlags: f, dir: b.dir, done: map[string]report.Run{}}
	if f.repeated() {
		r.Repeat, r.Until = f.repeat, f.until
	}
	for _, p := range b.plans {
		s := &series{planned: p, folders: f.folders(filepath.Base(p.Dir))}
		// Of runs that are repeated each has a folder below that one.
		if err := run.Clear(filepath.Join(b.dir, filepath.Base(p.Dir))); err != nil {
			return nil, err
		}
		s.ctx, s.stop = context.WithCancelCause(ctx)
		r.Runs = append(r.Runs, s.folders...)
		r.all = append(r.all, s)
	}
	var err error
	r.log, err = report.CreateCommandLog(b.dir, r.Command)
	return r, err
}

// one carries out the plan of a series for the i-th time, from 0 on.
func (r *repeats) one(y *run.Yard, scr *screen, s *series, i int) {
	if s.ctx.Err() != nil {
		return
	}
	p, seeds := s.Plan, r.seedFlags
	p.Dir = filepath.Join(r.dir, s.folders[i])
	seeds.seed += int64(i)
	if i == 0 { // of the others only how they ended is told
		p.Step = func(what string) { scr.step(p.Kernel.FileName(), what) }
	}
	r.onStallFlag.into(&p, y, scr)
	p.Repro = s.repro(seeds.seed)
	result, err := seeds.one(s.ctx, y, p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(s, i, result, err)
	if r.runFlags.repeated() && result.Verdict != "" && s.ctx.Err() == nil {
		s.ended++
		scr.step(p.Kernel.FileName(), fmt.Sprintf("%d of %d: %s", s.ended, r.runFlags.repeat, result.Verdict))
	}
}

// take takes in a run.
func (r *repeats) take(s *series, i int, result report.Run, err error) {
	folder := s.folders[i]
	if result.Refused() { // the report tells it, and luck has no part in it
		err = nil
		s.stop(errVain)
	}
	switch cause := context.Cause(s.ctx); {
	case err != nil && (errors.Is(cause, errFound) || errors.Is(cause, errVain)): // its own end is of no interest
		os.RemoveAll(filepath.Join(r.dir, folder))
		return
	case err != nil && !result.Booted():
		r.errs = append(r.errs, err)
		s.stop(errVain)
		return
	case err != nil:
		if diskIsFull(err) {
			r.stop(errVain)
		}
		r.errs = append(r.errs, fmt.Errorf("%s: %w; evidence: %s", s.Kernel.Release, err, filepath.Join(r.dir, folder)))
	case report.Sought(r.Until, result.Verdict, result.Expected):
		r.stop(errFound)
	case r.Until != "" && r.artifacts == "": // nobody will look at it; it counts all the same
		if os.RemoveAll(filepath.Join(r.dir, folder)) == nil {
			_ = r.log.Drop(report.RepeatedOf(folder, result)) // its Close tells
			return
		}
	}
	r.done[folder] = result
}

// failure is what kept runs from their verdicts, each once: the same may be
// wrong for every kernel.
func failure(errs []error) error {
	var failed *multierror.Error
	for i, err := range errs {
		if !slices.ContainsFunc(errs[:i], func(e error) bool { return e.Error() == err.Error() }) {
			failed = multierror.Append(failed, err)
		}
	}
	if failed != nil && len(failed.Errors) == 1 {
		return failed.Errors[0]
	}
	return failed.ErrorOrNil()
}
