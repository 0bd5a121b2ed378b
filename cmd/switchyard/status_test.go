// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/compare"
	"github.com/switchyard-project/switchyard/harness/selftests"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestExitStatus: scripts rely on these.
func TestExitStatus(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("context: %w", err) }
	for _, c := range []struct {
		err   error
		wants int
	}{
		{nil, 0},
		{errUnexpected, 1},
		{errors.New("anything else"), 1},
		{wrap(&patch.InputError{Path: "p", Text: "is no patch"}), 2},
		{wrap(&patch.BuildError{Source: "p"}), 2},
		{errRefused, 2},
		{wrap(&refusal.Refusal{Code: refusal.NoEffect, Text: "nothing changes"}), 2},
		{wrap(multierror.Append(nil, &refusal.Refusal{Text: "a"}, &refusal.Refusal{Text: "b"})), 2},
		{wrap(&kernels.NoMatchError{Selector: "9.9"}), 2},
		{wrap(&kernels.SelectorError{}), 2},
		{wrap(&report.FormatError{Path: "report.json", Err: errors.New("x")}), 2},
		{wrap(&selftests.NoScriptError{Name: "test-none.sh"}), 2},
		{usageError{errors.New("no such flag")}, 2},
		{wrap(&kernels.Lacking{What: "a thing"}), 3},
	} {
		require.Equal(t, c.wants, exitStatus(c.err), "%v", c.err)
	}
}

// TestCompareSkips: what went wrong with a comparison is no word on B.
func TestCompareSkips(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("context: %w", err) }
	for _, c := range []struct {
		err   error
		wants int
	}{
		{nil, exitOK},
		{errUnexpected, exitUnexpected}, // B is worse
		{errUntold, exitUntold},
		{errors.New("anything else"), exitUntold},
		{wrap(fs.ErrPermission), exitUntold},
		{wrap(syscall.ENOSPC), exitLacking},
		{multierror.Append(nil, wrap(syscall.EDQUOT), &report.FormatError{Path: "run.jsonl", Err: errors.New("x")}), exitLacking},
		{wrap(&kernels.Lacking{What: "a thing"}), exitLacking},
		{wrap(&compare.InputError{Text: "no runs"}), exitInput},
		{usageError{errors.New("no such flag")}, exitInput},
	} {
		require.Equal(t, c.wants, exitStatus(skipping(c.err)), "%v", c.err)
	}
	require.ErrorIs(t, skipping(fs.ErrPermission), fs.ErrPermission)
	require.ErrorIs(t, untold(newRoot(), wrap(syscall.ENOSPC), []report.Report{{Runs: []report.Run{{}}}}), syscall.ENOSPC)
}

// TestOutputsThatCannotBe: a place to write to that is none is a mistake on the
// command line.
func TestOutputsThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	logs := filepath.Join(dir, "logs")
	require.NoError(t, os.CopyFS(logs, os.DirFS("../../harness/report/testdata/logs/complete")))
	patch := "../../cases/testdata/cmdline"
	merged := filepath.Join(logs, "report.json")
	require.NoError(t, report.Report{}.Save(merged))
	for _, args := range [][]string{
		{"report", logs, "-o", file},
		{"report", logs, "-o", filepath.Join(file, "below")},
		{"report", "merge", logs, "-o", dir},
		{"report", "merge", logs, "-o", filepath.Join(file, "below")},
		{"report", "merge", logs, "-o", filepath.Join(dir, "none", "report.json")},
		{"report", "merge", logs, "-junit", "/dev/null"},
		{"patch", "build", patch, "-kernel", "6.1", "-o", dir},
		{"patch", "count", "vfs_read", "-kernel", "6.1", "-o", filepath.Join(dir, "none", "x.ko")},
	} {
		root := newRoot()
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		root.SetArgs(normalise(args))
		err := root.Execute()
		require.Equal(t, exitInput, exitStatus(err), "%v: %v", args, err)
		require.ErrorContains(t, err, args[len(args)-2])
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		_, _, err := artifactsDir(nil, path, "run")
		require.Equal(t, exitInput, exitStatus(err), "%v", err)
		require.ErrorContains(t, err, "-artifacts")
	}
}

// TestNormalise: -kernel and --kernel are one flag; values are left alone.
func TestNormalise(t *testing.T) {
	for _, c := range []struct{ in, out []string }{
		{[]string{"run", "-kernel", "6.1"}, []string{"run", "--kernel", "6.1"}},
		{[]string{"run", "--kernel=6.1", "p"}, []string{"run", "--kernel=6.1", "p"}},
		{[]string{"-kernel=6.1"}, []string{"--kernel=6.1"}},
		{[]string{"build", "-o", "x.ko", "-o=x.ko"}, []string{"build", "-o", "x.ko", "-o=x.ko"}},
		{[]string{"run", "-R", "-p1", "-p", "2"}, []string{"run", "-R", "-p1", "-p", "2"}},
		{[]string{"-", "-h"}, []string{"-", "-h"}},
		{[]string{"run", "--", "-kernel"}, []string{"run", "--", "-kernel"}},
	} {
		require.Equal(t, c.out, normalise(c.in))
	}
}
