// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// kernelPatience is how long, by the guest's clock, its kernel may take to load
// or unload a module, to begin a transition, to give what a probe reads. What a
// patch does may keep it from ever coming back, and a guest that tells of its
// tasks and loads all the while is not silent. Far above the longest that came
// back, 100 s (6.12, emulated), and above the 120 s after which the kernel itself
// tells of a task that hangs.
const kernelPatience = 10 * time.Minute

// patiently calls do, which asks the guest's kernel for something, and ends the
// machine if the kernel does not come back from it.
func (g *Guest) patiently(ctx context.Context, what string, do func() error) error {
	return g.rec.within(ctx, kernelPatience, do, func() {
		g.Machine.End(fmt.Errorf("its kernel did not come back for %v of its own time: %s", kernelPatience, what))
	})
}

// within calls do, and late once the guest's clock has gone on by d meanwhile.
func (r *recorder) within(ctx context.Context, d time.Duration, do func() error, late func()) error {
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer stop()
	mark := r.mark()
	watch.Go(func() {
		began := int64(0)
		_ = r.wait(watching, mark, func(e observe.Event) (bool, error) {
			switch {
			case e.Clock != observe.Guest || e.Seq == 0: // the host's, or made by it
			case began == 0:
				began = e.T
			case e.T-began > int64(d):
				late()
				return true, nil
			}
			return false, nil
		})
	})
	return do()
}
