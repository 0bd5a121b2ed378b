// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/matrix"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// allToBeHad stands for the newest kernel of every series that is to be had
// today, where a selector would stand.
const allToBeHad = "all-to-be-had"

// matrixFlags are the flags of `switchyard matrix`.
type matrixFlags struct {
	kernel, cases, durations string
	shards                   int
	asJSON                   bool
}

func matrixCommand() *cobra.Command {
	var f matrixFlags
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Cut the case suite, every case on every kernel, into pieces for CI",
		Long: `Cut the case suite, every case on every kernel, into pieces for CI: a piece is
some cases on one kernel, what "go test ./cases -kernel KERNEL -run RUN" runs.
Without -json a table shows them.`,
		Example: `  switchyard matrix -json                        a GitHub Actions matrix: a job for each kernel there is today
  switchyard matrix -kernel lts -shards 3        three pieces for each longterm kernel
  switchyard matrix -shards 3 -durations report.json   pieces that take equally long, by an earlier night`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.kernel, "kernel", allToBeHad, "kernels: a selector, or all-to-be-had: the newest of each series")
	cmd.Flags().StringVar(&f.cases, "cases", "./cases", "package of the cases, as go test takes it")
	cmd.Flags().IntVar(&f.shards, "shards", 1, "pieces for each kernel, at most")
	cmd.Flags().StringVar(&f.durations, "durations", "", "how long the cases took: a merged report or the output of go test -json")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, `print {"include": […]} on one line`)
	return cmd
}

func (f *matrixFlags) run(cmd *cobra.Command) error {
	if f.shards < 1 {
		return usageError{fmt.Errorf("-shards %d: must be at least 1", f.shards)}
	}
	durations, err := readDurations(f.durations)
	if err != nil {
		return err
	}
	kernels, err := f.kernels(cmd)
	if err != nil {
		return err
	}
	cases, err := listCases(cmd.Context(), f.cases)
	if err != nil {
		return err
	}
	m := matrix.Cut(kernels, cases, f.shards, durations)
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(m)
	}
	printMatrix(cmd.OutOrStdout(), m)
	return nil
}

func printMatrix(w io.Writer, m matrix.Matrix) {
	t := report.NewTable(w)
	t.AppendHeader(table.Row{"kernel", "shard", "cases", "expected"})
	for _, e := range m.Include {
		expected := "-"
		if e.Seconds > 0 {
			expected = fmt.Sprintf("%.1f s", e.Seconds)
		}
		t.AppendRow(table.Row{e.Kernel, fmt.Sprintf("%d of %d", e.Shard, e.Shards), len(e.Cases), expected})
	}
	t.Render()
}

// kernels are what -kernel names, the newest that are to be had: a plan is for
// machines that have none yet.
func (f *matrixFlags) kernels(cmd *cobra.Command) ([]matrix.Kernel, error) {
	y, done, err := openYard(cmd, run.Options{})
	if err != nil {
		return nil, err
	}
	defer done()
	y.Catalogue.Fresh = true
	var found []kernels.Candidate
	if f.kernel == allToBeHad {
		found, err = y.Catalogue.List(cmd.Context())
		found = newestOfSeries(found)
	} else {
		found, err = y.Catalogue.Select(cmd.Context(), f.kernel)
	}
	if err != nil {
		return nil, err // a plan with a gap would pass for one without
	}
	var all []matrix.Kernel
	for _, c := range found {
		sum := sha256.Sum256([]byte(c.Source + " " + c.Release + " " + c.Version))
		all = append(all, matrix.Kernel{Release: c.Release, Checksum: cmp.Or(c.Checksum, fmt.Sprintf("%x", sum))})
	}
	return all, nil
}

// newestOfSeries is the newest of each series in the default flavour, or of a
// series that has none of it, the newest; oldest series first.
func newestOfSeries(found []kernels.Candidate) (chosen []kernels.Candidate) {
	at := map[string]int{}
	for _, c := range found {
		if c.Label != "" { // somebody's own: not to be had elsewhere
			continue
		}
		series := kernels.Series(c.Version)
		i, ok := at[series]
		if !ok {
			at[series] = len(chosen)
			chosen = append(chosen, c)
		} else if chosen[i].Flavour != kernels.DefaultFlavour && c.Flavour == kernels.DefaultFlavour {
			chosen[i] = c
		}
	}
	slices.Reverse(chosen)
	return chosen
}

// readDurations reads either of what -durations takes; "" is no durations.
func readDurations(path string) (matrix.Durations, error) {
	if path == "" {
		return matrix.Durations{}, nil
	}
	r, err := report.Read(path)
	if err == nil {
		return matrix.NewDurations(r.Cases), nil
	}
	if errors.Is(err, os.ErrNotExist) {
		return matrix.Durations{}, usageError{fmt.Errorf("-durations: %w", err)}
	}
	file, openErr := os.Open(path)
	if openErr != nil {
		return matrix.Durations{}, fmt.Errorf("-durations: %w", openErr)
	}
	defer file.Close()
	log, logErr := report.ReadTestLog(file)
	if logErr != nil {
		return matrix.Durations{}, usageError{fmt.Errorf("-durations: neither a report (%w) nor the output of go test -json (%w)", err, logErr)}
	}
	return matrix.NewDurations(log.Cases), nil
}

// listCases asks go for the tests of a package.
func listCases(ctx context.Context, pkg string) ([]string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, &kernels.Lacking{What: "the go command", Remedy: "install Go and put it on PATH", Err: err}
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-list", "^Test", pkg)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("-cases %s: go test -list: %w\n%s%s", pkg, err, stderr.Bytes(), out)}
	}
	var cases []string
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); strings.HasPrefix(name, "Test") && !slices.Contains(cases, name) {
			cases = append(cases, name)
		}
	}
	if len(cases) == 0 {
		return nil, usageError{fmt.Errorf("-cases %s: the package has no tests", pkg)}
	}
	slices.Sort(cases)
	return cases, nil
}
