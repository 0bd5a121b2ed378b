// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// workers runs work n times at once until ctx ends. The first error ends
// them all and is given.
func workers(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			rest(int64(i) * timing.stagger)
			if err := work(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil && outer.Err() == nil {
		return err
	}
	return nil
}

// yield lets others have the CPU. Plain sched_yield would not do on one
// CPU: two readers that yield to each other leave nothing for the rest; a
// short sleep does, and makes each operation a wake-up as well.
func yield() { rest(timing.rest) }

// timing is of the one load that a process runs, in ns.
var timing = struct{ rest, stagger int64 }{rest: 200_000}

func rest(ns int64) {
	if ns <= 0 {
		return
	}
	t := unix.NsecToTimespec(ns)
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil)
}

// monotonic is CLOCK_MONOTONIC in ns.
func monotonic() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// again calls op until a signal did not interrupt it; Go's runtime sends
// itself some.
func again(op func() (int, error)) (int, error) {
	for {
		n, err := op()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
