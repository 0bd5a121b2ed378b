// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/run"
)

// reproBundleFlags are those flags of `switchyard repro` that are for bundles.
type reproBundleFlags struct {
	kernel, accel   string
	repeat, vms     int
	rebuild, replay bool
}

func (f *reproBundleFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.repeat, "repeat", 1, "of a bundle: do it this many times, and say how often the same came again")
	cmd.Flags().StringVar(&f.kernel, "kernel", "", "of a bundle: another kernel than the one it was made on")
	cmd.Flags().BoolVar(&f.rebuild, "rebuild", false, "of a bundle: build the modules of their sources, in the tool root, and do not take those in it")
	cmd.Flags().IntVar(&f.vms, "vms", 0, "of a bundle: machines at once over all processes, as of switchyard run")
	cmd.Flags().BoolVar(&f.replay, "replay", false, "of a bundle with a recording: replay that; QEMU reads it, so only of people you trust")
	cmd.Flags().StringVar(&f.accel, "accel", "", "of a bundle: auto, kvm or tcg (default: as in the bundle, if that is to be had)")
}

func (f *reproBundleFlags) check() error {
	if f.repeat < 1 {
		return usageError{fmt.Errorf("-repeat %d: must be at least 1", f.repeat)}
	}
	if f.vms < 0 {
		return usageError{fmt.Errorf("-vms %d: must be positive", f.vms)}
	}
	return nil
}

// forRecordings says, as a usage error, that a flag is given which a folder
// with a recording has no use for.
func (f *reproBundleFlags) forRecordings(cmd *cobra.Command) error {
	for _, name := range []string{"repeat", "kernel", "rebuild", "accel", "vms"} {
		if cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("-%s is for doing a bundle's run again; a recording has one way to go", name)}
		}
	}
	return nil
}

// consent says, as a usage error, that the flags do not go together for a
// bundle. QEMU reads a recording outside of the guest: only -replay, which says
// so, lets a stranger's be read.
func (f *reproFlags) consent(cmd *cobra.Command) error {
	if f.replay {
		return f.forRecordings(cmd)
	}
	for _, name := range []string{"gdb", "stop-at"} {
		if cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("-%s is of a replay: of a bundle it needs -replay, by which QEMU reads the recording in it, so only of people you trust", name)}
		}
	}
	return nil
}

// bundle does a bundle's run again.
func (f *reproFlags) bundle(cmd *cobra.Command, path, debugger string) error {
	if err := f.consent(cmd); err != nil {
		return err
	}
	o, remove, err := openBundle(path)
	if err != nil {
		return err
	}
	defer remove()
	if f.replay {
		if !o.Recording {
			return &bundle.Error{Path: path, Err: fmt.Errorf("it holds no recording to replay: only a run with -record leaves one")}
		}
		return f.replayed(cmd, run.Replay{Dir: o.File(bundle.RecordingDir), Of: &o.Manifest, Debugger: debugger, StopAt: f.stopAt})
	}
	machine := machineFlags{accel: accelOf(f.accel, o), qemu: f.qemu, mem: run.DefaultMemMiB, bootTimeout: run.DefaultBootTimeout}
	if err := machine.check(); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	tellBundle(w, o)
	ctx := cmd.Context()
	scr := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(scr, run.Options{QEMU: f.qemu, Accel: machine.accel, VMs: f.vms})
	if err != nil {
		return err
	}
	defer done()
	re, err := y.Rehearsal(ctx, run.Repro{Bundle: o, Kernel: f.kernel, Rebuild: f.rebuild})
	var other *run.ReleaseError
	switch {
	case !errors.As(err, &other):
	case other.Rebuild:
		return usageError{fmt.Errorf("%w: -rebuild builds them for that kernel, of their sources in the bundle", err)}
	default:
		return usageError{fmt.Errorf("%w, and not all of their sources are in it: `switchyard run` them with -kernel %s", err, shellescape.Quote(f.kernel))}
	}
	if err != nil {
		return err
	}
	re.Step = func(what string) { scr.step(o.Kernel.Release, what) }
	for _, note := range re.Notes {
		fmt.Fprintf(w, "  note:     %s\n", note)
	}
	out, drop, err := artifactsDir(y, f.artifacts, "repro")
	if err != nil {
		return err
	}
	same, err := f.again(ctx, cmd, y, re, out)
	done()
	if err != nil {
		drop()
		return err
	}
	fmt.Fprintf(w, "the same answer came again %d of %d times\n", same, f.repeat)
	if same == f.repeat {
		drop()
		return nil
	}
	fmt.Fprintf(w, "  evidence: %s\n", out)
	if same == 0 {
		return errUnexpected
	}
	return nil
}

// again does it as often as asked for, and counts.
func (f *reproFlags) again(ctx context.Context, cmd *cobra.Command, y *run.Yard, re *run.Rehearsal, out string) (same int, err error) {
	for i := range f.repeat {
		once, err := y.Again(ctx, re, filepath.Join(out, fmt.Sprintf("%d", i+1)))
		if err != nil {
			return same, err
		}
		word := "another"
		if once.Same {
			same++
			word = "the same"
		}
		if once.ToTheByte {
			word += " to the byte"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%d of %d: %s: %s\n", i+1, f.repeat, word, run.Printable(once.Answer.String()))
		if !once.Same && once.Run.Reason != "" {
			fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", run.Printable(once.Run.Reason))
		}
	}
	return same, nil
}
