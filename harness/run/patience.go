// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// patiently calls do, which asks the guest's kernel for something, and ends the
// machine if the kernel does not come back from it.
func (g *Guest) patiently(ctx context.Context, what string, do func() error) error {
	return g.rec.within(ctx, observe.KernelPatience, do, func() {
		g.Machine.End(fmt.Errorf("its kernel did not come back for %v of its own time: %s", observe.KernelPatience, what))
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
