// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"al.essio.dev/pkg/shellescape"

	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/run"
)

// minimizeFlags are the flags of `switchyard minimize`.
type minimizeFlags struct {
	out, qemu, accel, kernel string
	repeat, vms              int
}

func minimizeCommand() *cobra.Command {
	var f minimizeFlags
	cmd := &cobra.Command{
		Use:   "minimize BUNDLE",
		Short: "Find the least that comes to a bundle's verdict",
		Long: `Leave out of a bundle's run, one after the other and again until nothing more
can go: loads, vCPUs, stacked patches, modules before them, and functions of the
patches, while it comes to the same verdict, by the same kind of task, for the
same reason, in the same function. Each try is a run in a fork. What is left is
written as a bundle that does the same.

Functions go out of the modules' tables, whatever the modules were made from:
nothing is compiled, and the new code stays in the module, where nobody calls
it. What one function of a patch does, callbacks, and the modules' sources are
not made smaller.`,
		Example: `  switchyard minimize bundle.tar.zst
  switchyard minimize bundle.tar.zst -o small.tar.zst -repeat 5    one that is a race`,
		Args: oneArgument("a bundle"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVarP(&f.out, "output", "o", "", "the smaller bundle (default: beside the other, as NAME.min"+bundle.Suffix+")")
	cmd.Flags().IntVar(&f.repeat, "repeat", 1, "how often a thing is tried before it counts as not coming to the verdict: for a race")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "where the bundle's kernel is, if it cannot be found by itself: another build of the same release")
	cmd.Flags().StringVar(&f.accel, "accel", "", "auto, kvm or tcg (default: as in the bundle, if that is to be had)")
	cmd.Flags().IntVar(&f.vms, "vms", 0, "machines at once over all processes, as of switchyard run")
	cmd.Flags().StringVar(&f.qemu, "qemu", "", "QEMU to use: host, tool or a path")
	return cmd
}

func (f *minimizeFlags) run(cmd *cobra.Command, path string) error {
	if f.repeat < 1 {
		return usageError{fmt.Errorf("-repeat %d: must be at least 1", f.repeat)}
	}
	if f.vms < 0 {
		return usageError{fmt.Errorf("-vms %d: must be positive", f.vms)}
	}
	file := bundleIn(path)
	if file == "" {
		return &bundle.Error{Path: path, Err: errors.New("there is no bundle, or more than one: name one")}
	}
	o, remove, err := openBundle(file)
	if err != nil {
		return err
	}
	defer remove()
	machine := machineFlags{accel: accelOf(f.accel, o), qemu: f.qemu, mem: run.DefaultMemMiB, bootTimeout: run.DefaultBootTimeout}
	if err := machine.check(); err != nil {
		return err
	}
	if f.out == "" {
		f.out = strings.TrimSuffix(file, bundle.Suffix) + ".min" + bundle.Suffix
	}
	if err := checkFile("-o", f.out); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	tellBundle(w, o)
	scr := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(scr, run.Options{QEMU: f.qemu, Accel: machine.accel, VMs: f.vms})
	if err != nil {
		return err
	}
	defer done()
	re, err := y.Rehearsal(cmd.Context(), run.Repro{Bundle: o, Kernel: f.kernel})
	var other *run.ReleaseError
	if errors.As(err, &other) {
		return usageError{fmt.Errorf("%w, and minimize builds none: have `switchyard run` leave a bundle of their sources on that kernel (-kernel %s -bundle always), and minimize that", err, shellescape.Quote(f.kernel))}
	}
	if err != nil {
		return err
	}
	re.Step = func(what string) { scr.step(o.Kernel.Release, what) }
	dir, drop, err := y.Store.Scratch("minimize")
	if err != nil {
		return err
	}
	defer drop()
	least, err := y.Minimize(cmd.Context(), run.Minimize{
		Rehearsal: re, Repeat: f.repeat, Dir: dir,
		Tell: func(text string) { fmt.Fprintln(w, run.Printable(text)) },
	})
	var stray *run.StrayError
	if errors.As(err, &stray) {
		fmt.Fprintln(w, run.Printable(stray.Error()))
		return errUnexpected
	}
	if err != nil {
		return err
	}
	for _, kept := range least.Kept {
		fmt.Fprintln(w, run.Printable(kept))
	}
	fmt.Fprintf(w, "before: %s\nleft:   %s, after %d runs\n", least.Was, least.Left, least.Runs)
	return f.save(cmd.Context(), cmd, y, least, dir, o.Kernel.Full)
}

// save runs what is left once more, for its bundle: that it does the same is
// seen and not concluded.
func (f *minimizeFlags) save(ctx context.Context, cmd *cobra.Command, y *run.Yard, least *run.Minimal, dir string, full bool) error {
	least.Bundle = bundle.Always
	if full {
		least.Bundle = bundle.Full
	}
	for range f.repeat {
		once, err := y.Again(ctx, &least.Rehearsal, filepath.Join(dir, "least"))
		if err != nil {
			return err
		}
		if !once.Same {
			continue
		}
		if once.Run.Artifacts.Bundle == "" {
			return fmt.Errorf("write %s: %s", f.out, strings.Join(once.Run.Warnings, "; "))
		}
		text, err := os.ReadFile(filepath.Join(once.Run.Artifacts.Dir, once.Run.Artifacts.Bundle))
		if err == nil {
			err = renameio.WriteFile(f.out, text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", f.out, err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "the smaller bundle: %s\n", least.Again(f.out))
		return nil
	}
	fmt.Fprintf(cmd.OutOrStdout(), "what is left did not come to the same once more: it is a race; try -repeat %d\n", 2*f.repeat+1)
	return errUnexpected
}
