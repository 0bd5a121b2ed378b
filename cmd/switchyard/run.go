// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// machineFlags are the flags of every verb that boots guests.
type machineFlags struct {
	accel, qemu string
	smp, mem    int
	bootTimeout time.Duration
}

func (f *machineFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.accel, "accel", "auto", "accelerator: auto, kvm or tcg")
	cmd.Flags().StringVar(&f.qemu, "qemu", "", "QEMU to use: host, tool or a path (default: the host's if it is 7.2 or newer, else the tool root's)")
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
	if f.smp < 0 || f.mem < 1 {
		return usageError{fmt.Errorf("-smp %d, -mem %d: must be positive", f.smp, f.mem)}
	}
	return nil
}

func (f *machineFlags) guest() run.GuestConfig {
	return run.GuestConfig{CPUs: f.smp, MemMiB: f.mem, BootTimeout: f.bootTimeout}
}

// runFlags are the flags of `switchyard run`.
type runFlags struct {
	machineFlags
	kernel, load, format, artifacts, expect string
	with                                    []string
	stallAfter                              time.Duration
	vms                                     int
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run PATCH...",
		Short: "Test a live patch on kernels",
		Long: `Test a live patch on kernels: boot each, run a load against the patched code,
apply the patch, follow the transition to its end, check that the new code runs
and that the load's results are right, revert, unload, and report.

A patch is a folder with C sources, a .c file or a built .ko; several are
stacked in order.`,
		Example: `  switchyard run fix/ -kernel 6.1,6.12
  switchyard run fix/ -kernel 6.12 -load fork=4,pipe -stall-after 60s
  switchyard run fix.ko -with target.ko -kernel 6.1
  switchyard run fix/ -kernel 6.1 -format json > report.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("run takes a patch: a folder with C sources, a .c file or a .ko; see `switchyard run -help`")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.machineFlags.register(cmd)
	cmd.Flags().StringVar(&f.kernel, "kernel", "6.1,6.12", "kernels: a version, an exact release, a comma list, all, lts")
	cmd.Flags().StringVar(&f.load, "load", "", "loads, as name[=N],…, or none (default: by the patched object); there are "+strings.Join(load.Names(), ", "))
	cmd.Flags().StringArrayVar(&f.with, "with", nil, "module to load before the patch: a folder, a .c file or a .ko; may be repeated")
	cmd.Flags().DurationVar(&f.stallAfter, "stall-after", run.DefaultStallAfter, "guest time after which a transition counts as stalled")
	cmd.Flags().StringVar(&f.expect, "expect", string(check.VerdictComplete), "the verdict that is as it should be")
	cmd.Flags().StringVar(&f.format, "format", "text", "text or json")
	cmd.Flags().StringVar(&f.artifacts, "artifacts", "", "folder for logs, timelines and report.json (default: one in the cache, if something is not as expected)")
	cmd.Flags().IntVar(&f.vms, "vms", 0, "machines at once over all processes (default: half the cores with KVM, all with TCG)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("load", cobra.FixedCompletions(load.Names(), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	return cmd
}

// input is what the flags and arguments name, opened.
type input struct {
	patches, with []*patch.Source
	loads         []load.Spec
}

func (f *runFlags) open(args []string) (*input, error) {
	if err := f.machineFlags.check(); err != nil {
		return nil, err
	}
	if f.format != "text" && f.format != "json" {
		return nil, usageError{fmt.Errorf("-format %s: must be text or json", f.format)}
	}
	if f.stallAfter <= 0 {
		return nil, usageError{fmt.Errorf("-stall-after %v: must be positive", f.stallAfter)}
	}
	if !slices.Contains(check.Verdicts, check.Verdict(f.expect)) {
		return nil, usageError{fmt.Errorf("-expect %s: must be one of %v", f.expect, check.Verdicts)}
	}
	in := &input{}
	switch f.load {
	case "":
	case "none":
		in.loads = []load.Spec{}
	default:
		var err error
		if in.loads, err = load.ParseSpec(f.load); err != nil {
			return nil, usageError{fmt.Errorf("-load: %w", err)}
		}
	}
	var errs *multierror.Error
	for _, set := range []struct {
		paths []string
		to    *[]*patch.Source
	}{{args, &in.patches}, {f.with, &in.with}} {
		for _, path := range set.paths {
			src, err := patch.Open(path)
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
	in, err := f.open(args)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	scr := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(scr, run.Options{QEMU: f.qemu, Accel: f.accel, VMs: f.vms})
	if err != nil {
		return err
	}
	defer done()
	found, err := y.Catalogue.Select(ctx, f.kernel)
	if err != nil {
		return err
	}
	dir, drop, err := f.artifactsDir(y, in.patches[0].Name)
	if err != nil {
		return err
	}

	r := report.Report{Runs: make([]report.Run, len(found))}
	group, groupCtx := errgroup.WithContext(ctx)
	for i, c := range found {
		group.Go(func() error {
			p := f.plan(c, in, args)
			p.Dir = p.DirFor(dir)
			p.Step = func(what string) { scr.step(c.Release, what) }
			result, err := y.Run(groupCtx, p)
			r.Runs[i] = result
			return err
		})
	}
	err = group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		drop() // there is no verdict to have evidence for
		return err
	}
	asExpected := !slices.ContainsFunc(r.Runs, func(run report.Run) bool { return !run.AsExpected() })
	if asExpected && f.artifacts == "" {
		drop()
		for i := range r.Runs {
			r.Runs[i].Artifacts.Dir = ""
		}
	} else if err := r.Save(filepath.Join(dir, "report.json")); err != nil {
		return err
	}
	done()
	if f.format == "json" {
		err = r.WriteJSON(cmd.OutOrStdout())
	} else {
		r.WriteTable(cmd.OutOrStdout())
	}
	if err == nil && !asExpected {
		err = errUnexpected
	}
	return err
}

func (f *runFlags) plan(c kernels.Candidate, in *input, args []string) run.Plan {
	again := []string{"switchyard", "run"}
	again = append(again, args...)
	for _, w := range f.with {
		again = append(again, "-with", w)
	}
	again = append(again, "-kernel", c.Release)
	if f.load != "" {
		again = append(again, "-load", f.load)
	}
	return run.Plan{
		Kernel: c, Selector: f.kernel,
		Patches: in.patches, With: in.with, Loads: in.loads,
		Guest: f.guest(), StallAfter: f.stallAfter,
		Expected: check.Verdict(f.expect),
		Repro:    strings.Join(again, " "),
	}
}

// artifactsDir makes the folder for the evidence: -artifacts, or one in the
// cache that drop removes again where nobody will want to look. It is no
// temporary folder, so that a killed run still has what it saw.
func (f *runFlags) artifactsDir(y *run.Yard, name string) (dir string, drop func(), err error) {
	if f.artifacts != "" {
		dir, err = filepath.Abs(f.artifacts)
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		return dir, func() {}, err
	}
	dir, err = y.Store.Results(name)
	return dir, func() { os.RemoveAll(dir) }, err
}
