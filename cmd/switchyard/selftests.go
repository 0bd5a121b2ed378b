// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// selftestFlags are the flags of `switchyard selftests`.
type selftestFlags struct {
	machineFlags
	kernel, format, artifacts string
	timeout                   time.Duration
	vms                       int
}

func selftestsCommand() *cobra.Command {
	var f selftestFlags
	cmd := &cobra.Command{
		Use:   "selftests [SCRIPT...]",
		Short: "Run a kernel's own livepatch selftests",
		Long: `Run a kernel's own livepatch selftests: the scripts of
tools/testing/selftests/livepatch and their test modules, as its source has them,
in one of our guests. Each script's result is reported; one that fails, or skips
itself where that is not known, ends the command with exit status 1. Without
SCRIPT all of them run.`,
		Example: `  switchyard selftests -kernel 6.12
  switchyard selftests -kernel 6.6,6.12 -format json > selftests.json
  switchyard selftests callbacks state -kernel 6.6 -artifacts out`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.machineFlags.register(cmd)
	cmd.Flags().StringVar(&f.kernel, "kernel", "6.12", "kernels: a version, an exact release, all, lts, a path; or a comma list; their source must be to be had")
	cmd.Flags().DurationVar(&f.timeout, "timeout", run.DefaultScriptTimeout, "wall time for one script")
	cmd.Flags().StringVar(&f.format, "format", "text", "text or json")
	cmd.Flags().StringVar(&f.artifacts, "artifacts", "", "folder for what scripts and guests said and report.json (default: one in the cache, if something is not as expected)")
	cmd.Flags().IntVar(&f.vms, "vms", 0, "machines at once over all processes (default: half the cores with KVM, all with TCG)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *selftestFlags) check() error {
	if err := f.machineFlags.check(); err != nil {
		return err
	}
	if f.format != "text" && f.format != "json" {
		return usageError{fmt.Errorf("-format %s: must be text or json", f.format)}
	}
	if f.vms < 0 || f.timeout <= 0 {
		return usageError{fmt.Errorf("-vms %d, -timeout %v: must be positive", f.vms, f.timeout)}
	}
	return nil
}

func (f *selftestFlags) run(cmd *cobra.Command, scripts []string) error {
	if err := f.check(); err != nil {
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
	dir, drop, err := artifactsDir(y, f.artifacts, "selftests")
	if err != nil {
		return err
	}
	r, err := f.runAll(ctx, y, scr, cmd, scripts, found, dir)
	if cause := context.Cause(ctx); cause != nil {
		drop()
		return cause
	}
	done()
	asExpected := err == nil && !slices.ContainsFunc(r.Selftests, func(s report.Selftests) bool { return !s.AsExpected() })
	switch {
	case asExpected && f.artifacts == "":
		drop()
		for i := range r.Selftests {
			r.Selftests[i].Artifacts.Dir = ""
		}
	case len(r.Selftests) == 0:
		drop() // nothing was booted, so there is nothing to look at
		return err
	default:
		err = errors.Join(err, r.Save(filepath.Join(dir, "report.json")))
	}
	return show(cmd, f.format, r, r.WriteSelftests, asExpected, err)
}

// runAll runs the scripts on every kernel. What keeps one from its results does
// not keep the others from theirs.
func (f *selftestFlags) runAll(ctx context.Context, y *run.Yard, scr *screen, cmd *cobra.Command, scripts []string, found []kernels.Candidate, dir string) (report.Report, error) {
	results, errs := make([]report.Selftests, len(found)), make([]error, len(found))
	var all sync.WaitGroup
	for i, c := range found {
		all.Go(func() {
			p := run.SelftestPlan{
				Kernel: c, Selector: f.kernel, Scripts: scripts, Guest: f.guest(), Timeout: f.timeout,
				Dir:   filepath.Join(dir, "selftests-"+c.FileName()),
				Repro: again(cmd, append([]string{"switchyard", cmd.Name()}, cmd.Flags().Args()...), c.Selector()),
				Step:  func(what string) { scr.step(c.FileName(), what) },
			}
			if results[i], errs[i] = y.Selftests(ctx, p); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", c.Release, errs[i])
			}
		})
	}
	all.Wait()
	var r report.Report
	var failed *multierror.Error
	for i, err := range errs {
		if err == nil || results[i].Booted() {
			r.Selftests = append(r.Selftests, results[i])
		}
		if err != nil {
			failed = multierror.Append(failed, err)
		}
	}
	if failed != nil && len(failed.Errors) == 1 {
		return r, failed.Errors[0]
	}
	return r, failed.ErrorOrNil()
}
