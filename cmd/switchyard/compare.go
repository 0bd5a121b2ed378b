// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/compare"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// errUntold ends a comparison that cannot tell, as git bisect run wants it.
var errUntold = errors.New("it cannot be told")

// compareFlags are the flags of `switchyard compare`.
type compareFlags struct {
	runFlags
	only                 []string
	direction, threshold string
}

// defaultRepeat is how many runs make one side where nobody says: enough for a
// thing that happens in every third run, and for a tenth of a time that varies
// as much.
const defaultRepeat = 20

func compareCommand() *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare A [B]",
		Short: "Tell whether two sets of runs differ by more than noise",
		Long: `Compare two sets of runs, of two patches or on two kernels, and tell the
differences that are more than noise, and only these. A and B each are

  the artifacts folder of a run with -repeat, its report.json, or a bundle;
  a patch, as for run: then it is run first, -repeat times on each -kernel (or
  on the kernels of the other side).

With A alone its two kernels are compared: those of the report, or the two of
-kernel. Flags of run are for the runs that are made; of reports alone, -kernel
chooses the runs that are compared.

Verdicts and blockers are compared by Fisher's exact test, figures by the
Mann-Whitney U test, all together corrected (Holm), so that of comparisons of
equals one in twenty finds anything.

Exit status, for git bisect run as well:
  0    B is no worse than A
  1    B is worse (-direction better: it is better; any: it differs)
  125  it cannot be told: too few runs, B cannot be built or booted, or the
       comparison itself failed
  2, 3 and 130 as everywhere: the input is wrong, this machine lacks something,
       interrupted. To git bisect run 2 and 3 would mean bad: docs/how-a-run-works.md
       has a script that stops instead.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{errors.New("compare takes one or two of: the artifacts folder of a run with -repeat, a report.json, a bundle, a patch")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return skipping(f.run(cmd, args)) },
	}
	f.register(cmd)
	for _, name := range []string{"seeds", "record", "futures", "bundle"} {
		cmd.Flags().Lookup(name).Hidden = true
	}
	f.repeat = defaultRepeat
	cmd.Flags().Lookup("repeat").DefValue = strconv.Itoa(defaultRepeat)
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "figures to look at: apply.time, apply, interruption.apply.p99, load, verdict, blocker, …")
	cmd.Flags().StringVar(&f.direction, "direction", compare.Worse, "which difference is exit status 1: worse, better or any")
	cmd.Flags().StringVar(&f.threshold, "threshold", "0", "the least change that counts: 10% or 0.1 of A's median; of shares of runs, of all")
	_ = cmd.RegisterFlagCompletionFunc("direction", cobra.FixedCompletions([]string{compare.Worse, compare.Better, compare.Any}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Example = `  switchyard compare good/ bad/                                two artifacts folders of run -repeat
  switchyard compare old.patch new.patch -kernel 6.1           two patches, run by turns, 20 times each
  switchyard compare fix.patch -kernel 6.1,6.12 -repeat 40     one patch on two kernels
  switchyard compare good/ fix.patch -kernel . -only verdict   is this tree worse than what was kept? (git bisect run)
  switchyard compare good/ bad/ -only apply.time -threshold 10% -format json`
	return cmd
}

// skipping gives an error that has no status of its own the one by which git
// bisect run skips a revision: it tells nothing of B. A full disk stays full.
func skipping(err error) error {
	switch {
	case diskIsFull(err):
		return &statusError{err, exitLacking}
	case statusOf(err) != exitUnexpected || errors.Is(err, errUnexpected):
		return err
	}
	return &statusError{err, exitUntold}
}

// options are those of the comparison.
func (f *compareFlags) options(cmd *cobra.Command) (compare.Options, error) {
	for _, name := range []string{"seeds", "record", "futures"} {
		if cmd.Flags().Changed(name) {
			return compare.Options{}, usageError{fmt.Errorf("-%s is for run: compare makes plain runs, or -deterministic ones", name)}
		}
	}
	if !slices.Contains([]string{compare.Worse, compare.Better, compare.Any}, f.direction) {
		return compare.Options{}, usageError{fmt.Errorf("-direction %s: must be worse, better or any", f.direction)}
	}
	text, percent := strings.CutSuffix(strings.TrimSpace(f.threshold), "%")
	threshold, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		threshold /= 100
	}
	if err != nil || !(threshold >= 0) {
		return compare.Options{}, usageError{fmt.Errorf("-threshold %s: must be a part as 0.1, or 10%%", f.threshold)}
	}
	return compare.Options{Only: f.only, Direction: f.direction, Threshold: threshold}, nil
}

// side is A or B: a report, or what makes one.
type side struct {
	name   string
	report *report.Report
	in     *input
}

func (f *compareFlags) run(cmd *cobra.Command, args []string) error {
	o, err := f.options(cmd)
	if err != nil {
		return err
	}
	if err := f.seedFlags.check(cmd, &f.machineFlags); err != nil {
		return err
	}
	if err := f.repeatFlags.check(cmd, &f.seedFlags); err != nil {
		return err
	}
	var sides []*side
	for _, arg := range args {
		s := &side{name: arg}
		if s.report, err = reportAt(arg); err == nil && s.report == nil {
			s.in, err = f.open([]string{arg})
		}
		if err != nil {
			return err
		}
		sides = append(sides, s)
	}
	if f.format != "text" && f.format != "json" {
		return usageError{fmt.Errorf("-format %s: must be text or json", f.format)}
	}
	dir, drop, err := f.makeReports(cmd, sides)
	if err != nil {
		if dir != "" {
			tellRuns(cmd, dir)
		}
		return err
	}
	var result compare.Result
	if len(sides) == 1 {
		result, err = compare.Within(sides[0].name, *sides[0].report, o)
	} else {
		result, err = compare.Compare(sides[0].name, *sides[0].report, sides[1].name, *sides[1].report, o)
	}
	if err != nil {
		drop()
		return err
	}
	if result.Outcome == compare.Same && f.artifacts == "" {
		drop()
		dir = ""
	}
	return f.showComparison(cmd, result, dir)
}

// tellRuns says where the runs are that were made for a comparison.
func tellRuns(cmd *cobra.Command, dir string) {
	fmt.Fprintf(cmd.ErrOrStderr(), "switchyard: the runs are in %s\n", dir)
}

// showComparison writes what the comparison came to, and says by its error which
// exit status that is. dir is where the runs are that were made for it.
func (f *compareFlags) showComparison(cmd *cobra.Command, r compare.Result, dir string) error {
	if f.format == "json" {
		if err := r.WriteJSON(cmd.OutOrStdout()); err != nil {
			return err
		}
	} else {
		r.WriteText(cmd.OutOrStdout())
	}
	if dir != "" {
		tellRuns(cmd, dir)
	}
	switch r.Outcome {
	case compare.Different:
		return errUnexpected
	case compare.Unknown:
		return errUntold
	}
	return nil
}

// makeReports runs the sides that are patches, by turns. The error of a patch
// that cannot be built for a kernel, or of a kernel that does not boot, is
// errUntold. dir is where the runs are; "" if there is none worth a look.
func (f *compareFlags) makeReports(cmd *cobra.Command, sides []*side) (dir string, drop func(), err error) {
	drop = func() {}
	var todo []*side
	for i, s := range sides {
		switch other := sides[len(sides)-1-i]; {
		case s.report == nil:
			todo = append(todo, s)
		case other.report == nil && !cmd.Flags().Changed("kernel"):
			f.kernel = strings.Join(releases(*s.report), ",")
		}
	}
	if len(todo) == 0 {
		return "", drop, f.readOnly(cmd, sides)
	}
	scr := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(scr, run.Options{QEMU: f.qemu, Accel: f.accel, Route: f.route, VMs: f.vms})
	if err != nil {
		return "", drop, err
	}
	defer done()
	found, err := y.Catalogue.Select(cmd.Context(), f.kernel)
	if err != nil {
		return "", drop, err
	}
	if len(sides) == 1 && len(found) != 2 {
		return "", drop, usageError{fmt.Errorf("-kernel %s is %d kernels: to compare one patch on two, name two", f.kernel, len(found))}
	}
	dir, drop, err = artifactsDir(y, f.artifacts, "compare")
	if err != nil {
		return "", drop, err
	}
	var batches []batch
	for _, s := range todo {
		batches = append(batches, f.batch(cmd, s, found, filepath.Join(dir, folderOf(s, sides))))
	}
	for _, b := range batches {
		if err := makeDir("-artifacts", b.dir); err != nil {
			return "", drop, err
		}
	}
	reports, err := f.runPlans(cmd.Context(), y, scr, batches...)
	if cause := context.Cause(cmd.Context()); cause != nil {
		drop()
		return "", drop, cause
	}
	done()
	for i := range reports {
		todo[i].report = &reports[i]
		if len(reports[i].Runs) > 0 {
			err = errors.Join(err, saveReports(batches[i].dir))
		}
	}
	if err = untold(cmd, err, reports); err != nil && !leftAny(dir) {
		drop()
		dir = ""
	}
	return dir, drop, err
}

// leftAny says whether runs left anything in dir, beside the word that they were
// to be.
func leftAny(dir string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() != report.CommandFile {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// folderOf is the folder of a side's runs.
func folderOf(s *side, sides []*side) string {
	if len(sides) == 1 {
		return "."
	}
	return []string{"a", "b"}[slices.Index(sides, s)]
}

func (f *compareFlags) batch(cmd *cobra.Command, s *side, found []kernels.Candidate, dir string) batch {
	b := batch{dir: dir}
	for _, c := range found {
		p := f.plan(cmd, c, s.in)
		p.Dir = p.DirFor(dir)
		b.plans = append(b.plans, planned{p, func(seed int64) string { return f.runFlags.again(cmd, s.in, c.Selector(), seed) }})
	}
	return b
}

// untold is what a comparison ends with whose runs could not all be made, err
// being why: what this machine lacks stays so, and its disk full; a patch that
// cannot be built there, or a kernel that does not boot, cannot be told of.
// Where a side has runs all the same, they are compared.
func untold(cmd *cobra.Command, err error, reports []report.Report) error {
	var lacking *kernels.Lacking
	if errors.As(err, &lacking) || diskIsFull(err) {
		return err
	}
	empty := len(reports) == 0
	for _, r := range reports {
		empty = empty || len(r.Runs) == 0
		for _, run := range r.Runs {
			if run.Refused() { // before there was a guest
				err = errors.Join(err, fmt.Errorf("%s: %w", report.OneLine(run.Patch.Name), &run.Refusals[0]))
				empty = true
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintf(report.Plain(cmd.ErrOrStderr()), "switchyard: %v\n", err)
	}
	if empty {
		return errUntold
	}
	return nil
}
