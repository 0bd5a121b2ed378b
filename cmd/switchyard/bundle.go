// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// bundleFlag is -bundle of `switchyard run`.
type bundleFlag struct{ bundle string }

func (f *bundleFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.bundle, "bundle", string(bundle.Auto), "write a bundle, which `switchyard repro` does again elsewhere: auto (if the verdict is not the expected one), always, never, or full (always, and the kernel in it)")
	_ = cmd.RegisterFlagCompletionFunc("bundle", cobra.FixedCompletions([]string{"auto", "always", "never", "full"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Example += "\n  switchyard run fix/ -kernel 6.1 -bundle full       keep all that does it again on another machine"
}

// mode is the flag's value, of which it says if it is none.
func (f *bundleFlag) mode() (bundle.Mode, error) {
	m := bundle.Mode(f.bundle)
	if !slices.Contains(bundle.Modes, m) {
		return "", usageError{fmt.Errorf("-bundle %s: must be one of %v", f.bundle, bundle.Modes)}
	}
	return m, nil
}

// keeps says whether a run leaves a bundle, although all is as expected.
func (f *bundleFlag) keeps() bool {
	return f.bundle == string(bundle.Always) || f.bundle == string(bundle.Full)
}

// bundleIn is the bundle that path is, or that lies alone below the folder path;
// "" for none.
func bundleIn(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if !info.IsDir() {
		return path
	}
	if all := below(path, bundle.FileName); len(all) == 1 {
		return all[0]
	}
	return ""
}

// openBundle unpacks the bundle at path into a folder that does not outlive
// this process; remove removes it sooner.
func openBundle(path string) (o *bundle.Opened, remove func(), err error) {
	st, err := store.Open("")
	if err != nil {
		return nil, nil, err
	}
	dir, remove, err := st.Scratch("bundle")
	if err != nil {
		return nil, nil, store.DiskFull(err, st.Dir)
	}
	if o, err = bundle.Open(path, dir, bundle.DefaultLimits); err != nil {
		remove()
		return nil, nil, err
	}
	return o, remove, nil
}

// accelOf is the accelerator for a bundle's guest: with "" its own, if that is
// to be had here.
func accelOf(flag string, o *bundle.Opened) string {
	switch {
	case flag != "":
		return flag
	case o.Machine.Accel == "tcg":
		return "tcg"
	}
	return "auto"
}

// tellBundle says what a bundle is, in a stranger's words made harmless.
func tellBundle(w io.Writer, o *bundle.Opened) {
	fmt.Fprintf(w, "%s: %s on %s (%s)\n", o.Path, run.Printable(o.Answer.String()), o.Kernel.Release, run.Printable(o.Kernel.Source+" "+o.Kernel.Version))
	fmt.Fprintf(w, "  machine:  %s, %d vCPUs, %d MiB, QEMU %s\n", run.Printable(o.Machine.Accel), o.Machine.VCPUs, o.Machine.MemMiB, run.Printable(o.Machine.QEMU))
	fmt.Fprintf(w, "  made by:  switchyard %s, %s\n", run.Printable(o.Made.Switchyard), run.Printable(o.Made.Go))
	if o.Command != "" {
		fmt.Fprintf(w, "  as:       %s\n", run.Printable(o.Command))
	}
}

// bundleReport is the report of the run that a bundle is of.
func bundleReport(path string) (report.Report, error) {
	o, remove, err := openBundle(path)
	if err != nil {
		return report.Report{}, err
	}
	defer remove()
	if o.Case != nil {
		return report.Report{}, &bundle.Error{Path: path, Err: fmt.Errorf("it is of a Go test, and has no run to compare; the test again: %s", run.Printable(o.Case.Again))}
	}
	r, err := report.FromLogs(o.File(bundle.LogsDir))
	var wrong *report.FormatError
	if errors.As(err, &wrong) { // in a folder that is gone by the time that somebody looks
		err = &bundle.Error{Path: path, Err: errors.New(strings.ReplaceAll(wrong.Error(), o.Dir+string(filepath.Separator), ""))}
	}
	return report.Report{Runs: []report.Run{r}}, err
}
