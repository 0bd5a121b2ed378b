// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/report/compare"
	"github.com/switchyard-project/switchyard/kernels"
)

// reportAt is the report at path; nil if what lies there is none.
func reportAt(path string) (*report.Report, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError{err}
	}
	var r report.Report
	switch {
	case info.IsDir() && holds(path, report.CommandFile, observe.RunFile):
		folder, err := report.FromFolder(path)
		if err != nil {
			return nil, err
		}
		r = folder.Report
	case info.IsDir() && holds(path, "report.json"):
		r, err = report.Read(filepath.Join(path, "report.json"))
	case info.IsDir():
		return nil, nil
	case filepath.Ext(path) == ".json":
		r, err = report.Read(path)
	case strings.HasSuffix(path, bundle.Suffix):
		r, err = bundleReport(path)
	default:
		return nil, nil
	}
	if err == nil {
		err = comparable(r)
	}
	var bad *bundle.Error
	if err != nil && !errors.As(err, &bad) { // which names it
		err = &report.FormatError{Path: path, Err: err}
	}
	return &r, err
}

func holds(dir string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// comparable says why the runs of a report stand for nothing but themselves.
func comparable(r report.Report) error {
	switch {
	case len(r.Searches) > 0:
		return errors.New("it is of a search (-seeds), whose runs are one example of each verdict: compare runs of -repeat -deterministic")
	case r.Found() != "":
		return errors.New("its runs ended with the first that was looked for (-until), so their verdicts are no sample: compare runs of -repeat alone")
	case len(r.Runs) == 0:
		return errors.New("there is no run in it")
	}
	return nil
}

func releases(r report.Report) (all []string) {
	for _, run := range r.Runs {
		if !slices.Contains(all, run.Kernel.Release) {
			all = append(all, run.Kernel.Release)
		}
	}
	return all
}

// comparingFlags are those that mean something where both sides are reports.
var comparingFlags = []string{"only", "direction", "threshold", "format", "kernel", "help"}

// readOnly takes the flags where nothing is run: -kernel chooses among the runs
// that there are, and those of how to run are a mistake, as they would change
// nothing.
func (f *compareFlags) readOnly(cmd *cobra.Command, sides []*side) error {
	var idle []string
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains(comparingFlags, flag.Name) {
			idle = append(idle, "-"+flag.Name)
		}
	})
	if len(idle) > 0 {
		return usageError{fmt.Errorf("%s: nothing is run where each side is a report; leave it away, or give a patch", strings.Join(idle, ", "))}
	}
	if !cmd.Flags().Changed("kernel") {
		return nil
	}
	selectors, err := kernels.ParseSelector(f.kernel)
	if err != nil {
		return err
	}
	for _, s := range selectors {
		if s.Kind != kernels.ByVersion || s.Flavour != "" {
			return usageError{fmt.Errorf("-kernel %s: of the runs in a report, versions or releases choose, as 6.1", s.Text)}
		}
	}
	for _, s := range sides {
		if err := s.choose(selectors); err != nil {
			return err
		}
	}
	return nil
}

// choose leaves the runs of a report's side on kernels that are asked for. Each
// selector must choose some: what it names is to be compared.
func (s *side) choose(selectors []kernels.Selector) error {
	var kept []report.Run
	chose := make([]bool, len(selectors))
	for _, r := range s.report.Runs {
		fits := false
		for i, one := range selectors {
			if one.Matches(kernels.Candidate{Release: r.Kernel.Release, Version: r.Kernel.Version, Flavour: kernels.DefaultFlavour}) {
				fits, chose[i] = true, true
			}
		}
		if fits {
			kept = append(kept, r)
		}
	}
	if i := slices.Index(chose, false); i >= 0 {
		return &compare.InputError{Text: fmt.Sprintf("-kernel %s: no run in %s is on such a kernel; there are %s", selectors[i].Text, s.name, strings.Join(releases(*s.report), ", "))}
	}
	s.report.Runs = kept
	return nil
}
