// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestParkOfADeafGuest: a guest that has stopped taking what it is told, in the
// middle of something, is waited for no longer than the context lasts.
func TestParkOfADeafGuest(t *testing.T) {
	ours, theirs := pair(t)
	go impostor(theirs, goodHello, nil) // which reads no more
	c, err := Dial(t.Context(), ours)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	file := make([]byte, 32<<20) // far more than sockets hold
	for range MaxCalls {         // each up to its window
		require.ErrorIs(t, c.Put(shortly(t), "/x", 0o600, bytes.NewReader(file), int64(len(file))), context.DeadlineExceeded)
	}
	parked := make(chan error, 1)
	go func() { parked <- c.Park(ctx) }()
	select {
	case err := <-parked:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(time.Minute):
		t.Fatal("it is waited for")
	}
	require.NoError(t, c.Close())
}

// shortly is a context of a moment.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
