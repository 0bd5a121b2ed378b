// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestFenceAfterLoss: a fence whose line was lost with a part of the kernel's log
// is put up again. By a guest that loses the first two.
func TestFenceAfterLoss(t *testing.T) {
	log, err := observe.Create(filepath.Join(t.TempDir(), observe.TimelineFile), 0)
	require.NoError(t, err)
	defer log.Close()
	rec := newRecorder(log)
	lost := []observe.Lost{{Source: observe.LostKernelLog}, {Source: observe.LostRing, N: 3}}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		_ = channel.Serve(ctx, theirs, func(channel.Greeting) channel.Hello { return channel.Hello{} }, map[string]channel.Handler{
			"file.write": channel.Answer(func(_ context.Context, in channel.WriteFileRequest) (channel.None, error) {
				e := observe.Event{Kind: observe.KindKernelLog, KernelLog: &observe.KernelLog{Text: strings.TrimSpace(string(in.Data))}}
				if len(lost) > 0 {
					e = observe.Event{Kind: observe.KindLost, Lost: &lost[0]}
					lost = lost[1:]
				}
				return channel.None{}, rec.add(e)
			}),
		})
	}()
	client, err := channel.Dial(ctx, ours)
	require.NoError(t, err)
	defer client.Close()
	g := &Guest{Client: client, rec: rec}
	require.NoError(t, g.Fence(ctx))
	require.Empty(t, lost)
	require.Len(t, g.Timeline(), 3)
	require.NotEmpty(t, g.Timeline()[2].KernelLog)

	for range 2 * observe.FenceTries { // a kernel that never stops
		lost = append(lost, observe.Lost{Source: observe.LostKernelLog, N: 7})
	}
	require.NoError(t, g.Fence(ctx))
	require.Len(t, lost, observe.FenceTries)
}
