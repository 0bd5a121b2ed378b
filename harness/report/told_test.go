// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
)

// TestTold: what a terminal and a CI system get of all parts of a run.
func TestTold(t *testing.T) {
	r := everyPart(logged(t, "stalled"), "some_function")
	r.Runs[0].Expected = "complete"
	var out, xml bytes.Buffer
	r.WriteTable(&out)
	for _, want := range []string{
		"24.5 ms, 24.5 ms without", // the longest, with and without the patch
		"24.5 ms (988 us)",         // of a window
		"noisy some_function",      // why the figures are orders
		"some_function: 3000000001 old, 17 new, the last old one 3.00 ms after the apply began, 1 too late, most by some_function [m]",
		"nothing is concluded from these: void some_function",
		"3.00 ms (2.00 s)", // of a load's operations
		"why: a some_function sleeps there",
		"the witnesses of some_function/77 differ: they differ on some_function",
	} {
		require.Contains(t, out.String(), want)
	}
	require.Equal(t, 1, strings.Count(out.String(), "sleeps there"), "the diagnosis is told once")
	require.NoError(t, report.Merged{Report: r}.WriteJUnit(&xml))
	for _, want := range []string{"why: wake it", "in the way: some_function/77 (kworker, work some_function) unreliable stack some_function at some_function", "some_function+0x1/0x2"} {
		require.Contains(t, xml.String(), want)
	}

	// Of several runs the table and what is wrong; the page has the rest.
	out.Reset()
	r.Runs = append(r.Runs, r.Runs[0])
	r.WriteTable(&out)
	require.Contains(t, out.String(), "24.5 ms, 24.5 ms without")
	require.NotContains(t, out.String(), "calls of patched functions")
	require.Equal(t, 2, strings.Count(out.String(), "sleeps there"))
}
