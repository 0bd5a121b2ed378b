// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// seedFlags are the flags of deterministic runs.
type seedFlags struct {
	recordFlag
	deterministic bool
	seed          int64
	seeds         int
}

const seedExamples = `  switchyard run fix/ -kernel 6.12 -seeds 1000       search interleavings for one that goes wrong
  switchyard run fix/ -kernel 6.12 -deterministic -seed 17   that one again, to the byte`

func (f *seedFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.deterministic, "deterministic", false, "run by virtual time: a seed gives the same timeline to the byte (one vCPU, emulated)")
	cmd.Flags().Int64Var(&f.seed, "seed", 0, "what a deterministic run is varied by; the first one of -seeds")
	cmd.Flags().IntVar(&f.seeds, "seeds", 0, "try this many seeds, and show the verdicts they come to, the rarest first")
	cmd.Example += "\n" + seedExamples
	f.recordFlag.register(cmd)
}

func (f *seedFlags) check(cmd *cobra.Command, m *machineFlags) error {
	if cmd.Flags().Changed("seeds") {
		if f.seeds < 1 {
			return usageError{fmt.Errorf("-seeds %d: must be at least 1", f.seeds)}
		}
		f.deterministic = true
	}
	if f.record {
		if f.seeds > 0 {
			return usageError{errors.New("-record is for one run, not for -seeds: record the seed that they show")}
		}
		f.deterministic = true
	}
	switch {
	case f.seed < 0:
		return usageError{fmt.Errorf("-seed %d: must not be negative", f.seed)}
	case cmd.Flags().Changed("seed") && !f.deterministic:
		return usageError{errors.New("-seed is for -deterministic or -seeds")}
	case f.deterministic && m.accel == "kvm":
		return usageError{errors.New("-deterministic runs by virtual time, which KVM does not have: leave -accel away")}
	case f.deterministic && m.smp > 1:
		return usageError{fmt.Errorf("-deterministic -smp %d: two vCPUs do not repeat; leave -smp away", m.smp)}
	}
	return nil
}

// words are the flags for one seed, for a command line that does it again.
func (f *seedFlags) words(seed int64) []string {
	if !f.deterministic {
		return nil
	}
	return []string{"-deterministic", "-seed", strconv.FormatInt(seed, 10)}
}

// one carries out a plan.
func (f *seedFlags) one(ctx context.Context, y *run.Yard, p run.Plan) (report.Run, error) {
	if f.record {
		return y.Record(ctx, p, f.seed)
	}
	if f.deterministic {
		return y.Deterministic(ctx, p, f.seed)
	}
	return y.Run(ctx, p)
}

// search tries the seeds on one kernel after the other: each keeps all
// machines busy.
func (f *runFlags) search(ctx context.Context, y *run.Yard, scr *screen, cmd *cobra.Command, in *input, found []kernels.Candidate, dir string) (_ report.Report, err error) {
	var r report.Report
	c := report.Command{Search: true}
	for _, one := range found {
		p := f.plan(cmd, one, in)
		c.Runs = append(c.Runs, filepath.Base(p.DirFor(dir)))
	}
	log, err := report.CreateCommandLog(dir, c)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	for _, c := range found {
		p := f.plan(cmd, c, in)
		p.Dir = p.DirFor(dir)
		p.Step = func(what string) { scr.step(c.Release, what) }
		every := max(1, f.seeds/20)
		result, runs, err := y.Search(ctx, p, run.Seeds{
			First: f.seed, N: f.seeds,
			Repro: func(seed int64) string { return f.again(cmd, in, c.Release, seed) },
			Tried: func(done int, one report.Tried) {
				_ = log.Tried(one) // its Close tells
				if done%every == 0 || one.Verdict != one.Expected {
					scr.step(c.Release, fmt.Sprintf("%d of %d seeds, this one %s", done, f.seeds, one.Verdict))
				}
			},
		})
		if result.Seeds > 0 {
			r.Searches = append(r.Searches, result)
			r.Runs = append(r.Runs, runs...)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", c.Release, err)
		}
	}
	return r, nil
}

// showSearch writes what a search found where the user wants it, and says by
// its error whether all is as expected.
func (f *runFlags) showSearch(cmd *cobra.Command, r report.Report, dir string, drop func(), err error) error {
	asExpected := err == nil
	for _, s := range r.Searches {
		asExpected = asExpected && s.AsExpected()
	}
	switch {
	case len(r.Searches) == 0:
		drop()
		return err
	case asExpected && f.artifacts == "" && !f.keeps():
		drop()
		for i := range r.Runs {
			r.Runs[i].Artifacts.Dir = ""
		}
	default:
		err = errors.Join(err, saveReports(dir))
	}
	return show(cmd, f.format, r, r.WriteSearches, asExpected, err)
}
