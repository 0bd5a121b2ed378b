// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A fork of a guest finds calls running that another host made of another
// guest. They end, as their session does, but know that nobody gave them up.
func TestForkFindsCalls(t *testing.T) {
	for name, c := range map[string]struct {
		greeting Greeting
		cause    error
	}{
		"a fork":       {Greeting{Wall: time.Now().UnixNano()}, ErrForked},
		"another host": {Greeting{}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pair(t)
			defer ours.Close()
			started, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				_ = Serve(context.Background(), theirs, newGuest().hello, map[string]Handler{
					"hang": Answer(func(ctx context.Context, _ None) (None, error) {
						close(started)
						<-ctx.Done()
						ended <- context.Cause(ctx)
						return None{}, ctx.Err()
					}),
				})
			}()
			first, err := Dial(t.Context(), keepOpen{ours})
			require.NoError(t, err)
			go func() { _ = first.Call(context.Background(), "hang", None{}, nil) }()
			<-started
			// The host of before is in another machine: no word of its end comes.
			require.NoError(t, ours.SetReadDeadline(time.Unix(1, 0)))
			<-first.Done()
			require.NoError(t, ours.SetReadDeadline(time.Time{}))
			select {
			case cause := <-ended:
				t.Fatalf("the call ended too early: %v", cause)
			default:
			}
			second, err := DialFork(t.Context(), ours, c.greeting)
			require.NoError(t, err)
			defer second.Close()
			require.ErrorIs(t, <-ended, c.cause)
		})
	}
}
