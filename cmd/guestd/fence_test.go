// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// TestFenceAfterLoss: a plan's fence whose line was lost with a part of the
// kernel's log is put up again.
func TestFenceAfterLoss(t *testing.T) {
	c := &conduct{watch: &watch{ring: sampler.NewRing(8)}}
	lines := 0
	require.NoError(t, c.fenceBy(func(line string) error {
		if lines++; lines == 1 {
			c.watch.ring.Emit(observe.Event{Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostKernelLog, N: 7}})
			return nil
		}
		c.watch.ring.Emit(observe.Event{Kind: observe.KindKernelLog, KernelLog: &observe.KernelLog{Text: strings.TrimSpace(line)}})
		return nil
	}))
	require.Equal(t, 2, lines)

	lines = 0
	require.NoError(t, c.fenceBy(func(string) error {
		lines++
		c.watch.ring.Emit(observe.Event{Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostKernelLog, N: 7}})
		return nil
	}), "a kernel that never stops")
	require.Equal(t, observe.FenceTries, lines)
}
