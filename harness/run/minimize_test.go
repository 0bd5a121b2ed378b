// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
)

// TestMinimizeUnusable: what cannot be run at all, with nothing left out of it,
// is wrong input with its own reason, and no run that came to another end.
func TestMinimizeUnusable(t *testing.T) {
	y := testYard(t)
	p := testPlan(t, y, versions[0], "target/with/switchyard_target.c", "fork")
	var said []string
	_, err := y.Minimize(t.Context(), Minimize{
		Rehearsal: &Rehearsal{Plan: p, want: bundle.Answer{Verdict: "stalled"}}, Dir: t.TempDir(),
		Tell: func(text string) { said = append(said, text) },
	})
	var input *patch.InputError
	require.ErrorAs(t, err, &input)
	require.Contains(t, err.Error(), "patches nothing")
	require.Empty(t, said)
}
