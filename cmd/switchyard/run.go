// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"al.essio.dev/pkg/shellescape"
	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// machineFlags are the flags of every verb that boots guests.
type machineFlags struct {
	accel, qemu string
	routeFlag
	smp, mem    int
	bootTimeout time.Duration
}

func (f *machineFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.accel, "accel", "auto", "accelerator: auto, kvm or tcg")
	cmd.Flags().StringVar(&f.qemu, "qemu", "", "QEMU to use: host, tool or a path (default: the host's if it is 7.2 or newer, else the tool root's)")
	f.routeFlag.register(cmd)
	cmd.Flags().IntVar(&f.smp, "smp", 0, "vCPUs (default: 2, or 1 where that kernel needs it)")
	cmd.Flags().IntVar(&f.mem, "mem", run.DefaultMemMiB, "memory in MiB")
	cmd.Flags().DurationVar(&f.bootTimeout, "boot-timeout", run.DefaultBootTimeout, "wall time for a guest to boot")
	_ = cmd.RegisterFlagCompletionFunc("accel", cobra.FixedCompletions([]string{"auto", "kvm", "tcg"}, cobra.ShellCompDirectiveNoFileComp))
}

// check finds mistakes before anything is fetched.
func (f *machineFlags) check() error {
	if !slices.Contains([]string{"auto", "kvm", "tcg"}, f.accel) {
		return usageError{fmt.Errorf("-accel %s: must be auto, kvm or tcg", f.accel)}
	}
	if f.smp < 0 || f.mem < 1 || f.bootTimeout <= 0 {
		return usageError{fmt.Errorf("-smp %d, -mem %d, -boot-timeout %v: must be positive", f.smp, f.mem, f.bootTimeout)}
	}
	if f.qemu != "" && f.qemu != "host" && f.qemu != "tool" {
		if _, err := os.Stat(f.qemu); err != nil {
			return usageError{fmt.Errorf("-qemu %s: must be host, tool or the path of a qemu-system-x86_64: %w", f.qemu, err)}
		}
	}
	return nil
}

func (f *machineFlags) guest() run.GuestConfig {
	return run.GuestConfig{CPUs: f.smp, MemMiB: f.mem, BootTimeout: f.bootTimeout}
}

// runFlags are the flags of `switchyard run`.
type runFlags struct {
	machineFlags
	seedFlags
	futuresFlag
	callsFlag
	interruptionFlag
	diffFlags
	repeatFlags
	bundleFlag
	onStallFlag
	kernel, load, format, artifacts, expect string
	with                                    []string
	stallAfter                              time.Duration
	vms                                     int
	cold                                    bool
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run PATCH...",
		Short: "Test a live patch on kernels",
		Long: `Test a live patch on kernels: boot each, run a load against the patched code,
apply the patch, follow the transition to its end, check that the new code runs
and that the load's results are right, revert, unload, and report.

A patch is a unified diff against the kernel's source (.patch, .diff), a folder
with C sources, a .c file or a built .ko; several are stacked in order.`,
		Example: `  switchyard run fix.patch -kernel 6.1,6.12
  switchyard run fix/ -kernel 6.1,6.12
  switchyard run fix/ -kernel 6.12 -load fork=4,pipe -stall-after 60s
  switchyard run fix.ko -with target.ko -kernel 6.1
  switchyard run fix/ -kernel 6.1 -format json > report.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("run takes a patch: a diff, a folder with C sources, a .c file or a .ko; see `switchyard run -help`")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.register(cmd)
	f.repeatFlags.registerUntil(cmd)
	return cmd
}

func (f *runFlags) register(cmd *cobra.Command) {
	f.machineFlags.register(cmd)
	f.seedFlags.register(cmd)
	f.futuresFlag.register(cmd)
	f.callsFlag.register(cmd)
	f.interruptionFlag.register(cmd)
	f.diffFlags.register(cmd)
	f.repeatFlags.register(cmd)
	f.bundleFlag.register(cmd)
	f.onStallFlag.register(cmd)
	cmd.Flags().StringVar(&f.kernel, "kernel", "6.1,6.12", "kernels: a version, an exact release, all, lts, host, a path; or a comma list")
	cmd.Flags().StringVar(&f.load, "load", "", "loads, as name[=N],…, or none (default: by the patched object); there are "+strings.Join(load.Names(), ", "))
	cmd.Flags().StringArrayVar(&f.with, "with", nil, "module to load before the patch: a folder, a .c file or a .ko; may be repeated")
	cmd.Flags().DurationVar(&f.stallAfter, "stall-after", run.DefaultStallAfter, "guest time after which a transition counts as stalled")
	cmd.Flags().StringVar(&f.expect, "expect", string(check.VerdictComplete), "the verdict that is as it should be")
	cmd.Flags().BoolVar(&f.cold, "cold", false, "boot the guest instead of forking a snapshot of one that has booted")
	cmd.Flags().StringVar(&f.format, "format", "text", "text or json")
	cmd.Flags().StringVar(&f.artifacts, "artifacts", "", "folder for logs, timelines and reports (default: one in the cache, if something is not as expected)")
	cmd.Flags().IntVar(&f.vms, "vms", 0, "machines at once over all processes (default: half the cores with KVM, all with TCG)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("load", cobra.FixedCompletions(load.Names(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// input is what the flags and arguments name, opened.
type input struct {
	patches, with []*patch.Source
	loads         []load.Spec
	futures       []string
	words         []string // of a command line that does it again, before its flags
}

func (f *runFlags) open(args []string) (*input, error) {
	if err := f.machineFlags.check(); err != nil {
		return nil, err
	}
	if f.format != "text" && f.format != "json" {
		return nil, usageError{fmt.Errorf("-format %s: must be text or json", f.format)}
	}
	if f.vms < 0 {
		return nil, usageError{fmt.Errorf("-vms %d: must be positive", f.vms)}
	}
	if f.stallAfter <= 0 {
		return nil, usageError{fmt.Errorf("-stall-after %v: must be positive", f.stallAfter)}
	}
	if !slices.Contains(check.Verdicts, check.Verdict(f.expect)) {
		return nil, usageError{fmt.Errorf("-expect %s: must be one of %v", f.expect, check.Verdicts)}
	}
	if _, err := f.mode(); err != nil {
		return nil, err
	}
	futures, err := f.futuresFlag.names(f.deterministic)
	if err != nil {
		return nil, err
	}
	if err := f.onStallFlag.check(f.deterministic); err != nil {
		return nil, err
	}
	in := &input{futures: futures, words: append([]string{"switchyard", "run"}, args...)}
	switch f.load {
	case "":
	case "none":
		in.loads = []load.Spec{}
	default:
		if in.loads, err = load.ParseSpec(f.load); err != nil {
			return nil, usageError{fmt.Errorf("-load: %w", err)}
		}
	}
	diffs, err := f.diffFlags.options(args)
	if err != nil {
		return nil, err
	}
	diffs.Late = f.seeds == 0 // a search has no report of runs to tell it in
	var errs *multierror.Error
	for _, set := range []struct {
		paths []string
		as    patch.DiffOptions
		to    *[]*patch.Source
	}{{args, diffs, &in.patches}, {f.with, patch.DiffOptions{}, &in.with}} {
		for _, path := range set.paths {
			src, err := patch.OpenAs(path, set.as)
			if err != nil {
				errs = multierror.Append(errs, err)
				continue
			}
			*set.to = append(*set.to, src)
		}
	}
	return in, errs.ErrorOrNil()
}

func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.seedFlags.check(cmd, &f.machineFlags); err != nil {
		return err
	}
	if err := f.repeatFlags.check(cmd, &f.seedFlags); err != nil {
		return err
	}
	f.interruptionFlag.settle(cmd, f.seeds)
	in, err := f.open(args)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	scr := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(scr, run.Options{QEMU: f.qemu, Accel: f.accel, Route: f.route, VMs: f.vms})
	if err != nil {
		return err
	}
	defer done()
	found, err := y.Catalogue.Select(ctx, f.kernel)
	if err != nil {
		return err
	}
	dir, drop, err := artifactsDir(y, f.artifacts, in.patches[0].Name)
	if err != nil {
		return err
	}

	runAll := f.runAll
	if f.seeds > 0 {
		runAll = f.search
	}
	r, err := runAll(ctx, y, scr, cmd, in, found, dir)
	if cause := context.Cause(ctx); cause != nil {
		if f.artifacts != "" {
			_ = saveReports(dir) // of what there was; that it was interrupted counts more
		}
		drop()
		return cause
	}
	done()
	if f.seeds > 0 {
		return f.showSearch(cmd, r, dir, drop, err)
	}
	return f.showRuns(cmd, r, dir, drop, err)
}

// showRuns writes what the runs came to where the user wants it, keeps what is
// worth a look, and says by its error whether all is as it should be.
func (f *runFlags) showRuns(cmd *cobra.Command, r report.Report, dir string, drop func(), err error) error {
	good := err == nil && r.AsExpected()
	if f.until != "" { // whether it was found is all that counts
		good = r.Found() != ""
		if good && err != nil {
			fmt.Fprintf(report.Plain(cmd.ErrOrStderr()), "switchyard: of the other runs: %v\n", err)
			err = nil
		}
	}
	switch {
	case err == nil && r.AsExpected() && f.artifacts == "" && !f.record && !f.keeps() && r.Found() == "":
		drop()
		for i := range r.Runs {
			r.Runs[i].Artifacts.Dir = ""
		}
	case len(r.Runs) == 0:
		drop() // there is nothing to look at
	default:
		err = errors.Join(err, saveReports(dir))
	}
	if len(r.Runs)+len(r.Repeats) == 0 && err != nil {
		return err
	}
	if err == nil && f.until == "" && slices.ContainsFunc(r.Runs, func(run report.Run) bool { return run.Refused() && !run.AsExpected() }) {
		err = errRefused
	}
	return show(cmd, f.format, r, r.WriteText, good, err)
}

// show writes what came of a command on its standard output, as text or JSON,
// and says by its error whether all is as expected.
func show(cmd *cobra.Command, format string, r report.Report, text func(io.Writer), asExpected bool, err error) error {
	if format == "json" {
		err = errors.Join(err, r.WriteJSON(cmd.OutOrStdout()))
	} else {
		text(cmd.OutOrStdout())
	}
	if err == nil && !asExpected {
		err = errUnexpected
	}
	return err
}

// runAll runs the plan on every kernel, as often as is asked.
func (f *runFlags) runAll(ctx context.Context, y *run.Yard, scr *screen, cmd *cobra.Command, in *input, found []kernels.Candidate, dir string) (report.Report, error) {
	var plans []planned
	for _, c := range found {
		p := f.plan(cmd, c, in)
		p.Dir = p.DirFor(dir)
		plans = append(plans, planned{p, func(seed int64) string { return f.again(cmd, in, c.Selector(), seed) }})
	}
	all, err := f.runPlans(ctx, y, scr, batch{dir, plans})
	if len(all) == 0 {
		return report.Report{}, err
	}
	return all[0], err
}

// saveReports writes the reports of the runs in dir, as `switchyard report`
// would.
func saveReports(dir string) error {
	folder, err := report.FromFolder(dir)
	if len(folder.Runs) == 0 && err != nil {
		return err
	}
	return errors.Join(err, folder.SaveAll(dir)) // of those that can be read
}

// start is how the guest of a run starts.
func (f *runFlags) start() run.GuestConfig {
	g := f.guest()
	g.Cold = f.cold
	return g
}

func (f *runFlags) plan(cmd *cobra.Command, c kernels.Candidate, in *input) run.Plan {
	return run.Plan{
		Kernel: c, Selector: f.kernel,
		Patches: in.patches, With: in.with, Loads: in.loads,
		Guest: f.start(), StallAfter: f.stallAfter,
		Expected: check.Verdict(f.expect), Futures: in.futures, Interruption: f.interruption, Calls: f.calls, Bundle: bundle.Mode(f.bundle),
		Repro: f.again(cmd, in, c.Selector(), f.seed),
	}
}

// again is the command line that does this run again, of a seed if it has one.
func (f *runFlags) again(cmd *cobra.Command, in *input, selector string, seed int64) string {
	return again(cmd, in.words, selector, slices.Concat(f.interruptionFlag.words(), f.seedFlags.words(seed))...)
}

// again is the command line that does the same on one kernel: words, and the
// flags as they were given, less those that only say where and how to report, and
// those of seeds, which more names.
func again(cmd *cobra.Command, words []string, selector string, more ...string) string {
	words = slices.Clone(words)
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		switch flag.Name {
		case "kernel", "artifacts", "format", "vms", "bundle", "deterministic", "seed", "seeds", "repeat", "until", "interruption", "only", "direction", "threshold", "on-stall":
			return
		}
		if flag.Value.String() == "true" && flag.NoOptDefVal == "true" { // -cold
			words = append(words, "-"+flag.Name)
			return
		}
		if flag.Value.String() == "false" && flag.NoOptDefVal == "true" { // -calls=false
			words = append(words, "-"+flag.Name+"=false")
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			words = append(words, "-"+flag.Name, v)
		}
	})
	words = append(append(words, more...), "-kernel", selector)
	for i, w := range words {
		words[i] = shellescape.Quote(w)
	}
	return strings.Join(words, " ")
}

// artifactsDir makes the folder for the evidence: -artifacts, or one in the
// cache that drop removes again where nobody will want to look. It is no
// temporary folder, so that a killed run still has what it saw.
func artifactsDir(y *run.Yard, artifacts, name string) (dir string, drop func(), err error) {
	if artifacts != "" {
		dir, err = filepath.Abs(artifacts)
		if err == nil {
			err = makeDir("-artifacts", dir)
		}
		return dir, func() {}, err
	}
	dir, err = y.Store.Results(name)
	return dir, func() { os.RemoveAll(dir) }, err
}
