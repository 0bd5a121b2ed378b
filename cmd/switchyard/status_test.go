// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/report"
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
