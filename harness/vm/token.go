// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// tokenPoll is how often a full pool is looked at again: no lock says "any of
// these".
const tokenPoll = 50 * time.Millisecond

// Token takes one of n permissions to run a machine, waiting until one is
// free. The pool is the folder dir; all processes that use it share it, and
// the kernel gives back what a dead one held. Pools of different n overlap: a
// process that allows itself fewer uses the first ones.
func Token(ctx context.Context, dir string, n int) (release func(), err error) {
	if n < 1 {
		return nil, fmt.Errorf("%d machines at once: must be at least 1", n)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("machine tokens: %w", err)
	}
	again := time.NewTicker(tokenPoll)
	defer again.Stop()
	for {
		for i := range n {
			lock := flock.New(filepath.Join(dir, fmt.Sprintf("vm-%d.lock", i)))
			ok, err := lock.TryLock()
			if err != nil {
				return nil, fmt.Errorf("machine tokens: %w", err)
			}
			if ok {
				return func() { _ = lock.Unlock() }, nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for one of %d machines to end: %w", n, context.Cause(ctx))
		}
	}
}
