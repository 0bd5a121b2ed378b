// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestLongWaitsBeginWhenTheyBegan: the host's kernel tells of a wait when it is
// over, so one look can bring more than went by since the look before.
func TestLongWaitsBeginWhenTheyBegan(t *testing.T) {
	const ms = int64(1e6)
	th := &thread{at: 100 * ms, wait: 7 * ms}
	wait := th.wait
	for _, look := range []struct{ now, waited int64 }{
		{102 * ms, 0}, {104 * ms, 1 * ms}, {106 * ms, 0},
		{140 * ms, 0}, {142 * ms, 33 * ms}, // one wait, of which the look at 140 saw nothing
		{144 * ms, 9 * ms}, // began while the last one was booked
	} {
		wait += look.waited
		th.book(look.now, wait)
	}
	require.Equal(t, []observe.Span{
		{From: 102 * ms, To: 104 * ms, Wait: 1 * ms},
		{From: 109 * ms, To: 142 * ms, Wait: 33 * ms},
		{From: 142 * ms, To: 144 * ms, Wait: 9 * ms},
	}, th.All())
}
