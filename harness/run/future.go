// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// future is one thing that may free a transition that has stalled.
type future struct {
	name string
	// does says what is done, in the words that follow the name in a list.
	does string
	// try does it and follows the transition. note is what the verdict does
	// not say, "" for nothing.
	try func(ctx context.Context, t *attempt) (a *Applied, note string, err error)
}

// futures are all of them. What each does is what a person at such a machine
// can do: Documentation/livepatch/livepatch.rst, "Livepatch life-cycle", and
// kernel/livepatch/transition.c, klp_send_signals.
var futures = []future{
	{"wait", "give it the stall time once more", tryWait},
	{"signal", "stop and continue every user task in the way, which takes it through the kernel's exit as the core's own signal does", trySignal},
	{"wake", "wake every task in the way, kernel threads too", tryWake},
	{"revert", "turn the transition round", tryRevert},
	{"force", "have the core count all tasks as switched, which gives up consistency", tryForce},
}

// FutureNames are the names of all futures, for Plan.Futures.
func FutureNames() []string {
	var names []string
	for _, f := range futures {
		names = append(names, f.name)
	}
	return names
}

func futureNamed(name string) (future, bool) {
	i := slices.IndexFunc(futures, func(f future) bool { return f.name == name })
	if i < 0 {
		return future{}, false
	}
	return futures[i], true
}

func tryWait(ctx context.Context, t *attempt) (*Applied, string, error) {
	a, err := t.follow(ctx)
	return a, "", err
}

func trySignal(ctx context.Context, t *attempt) (*Applied, string, error) {
	all, err := t.inTheWay(ctx)
	if err != nil {
		return nil, "", err
	}
	reached := 0
	for _, b := range all {
		if b.Kind != observe.UserTask {
			continue
		}
		// To the very thread, one behind the other: the first wakes it, the
		// second takes the first back before it stops anybody.
		err := t.Client.Signal(ctx, b.PID, b.TID, syscall.SIGSTOP, syscall.SIGCONT)
		switch {
		case err == nil:
			reached++
			t.rec.action("signal", fmt.Sprintf("%s/%d", b.Comm, b.TID), "", nil)
		case !errors.Is(err, syscall.ESRCH): // else it has just ended
			return nil, "", t.orDeath(err)
		}
	}
	a, err := t.follow(ctx)
	if reached == 0 {
		return a, "no user task was in the way", err
	}
	return a, "", err
}

func tryWake(ctx context.Context, t *attempt) (*Applied, string, error) {
	all, err := t.inTheWay(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(all) == 0 {
		a, err := t.follow(ctx)
		return a, "no task was in the way", err
	}
	for _, params := range wakeParams(all) {
		if err := t.Insert(ctx, t.wake, params); err != nil {
			return nil, "", err
		}
		if err := t.Unload(ctx, t.wake.Name); err != nil {
			return nil, "", err
		}
	}
	a, err := t.follow(ctx)
	return a, "", err
}

// mostWoken is how many tasks the module takes at a time; the kernel refuses it
// with more.
const mostWoken = 256

// wakeParams are the parameters of the module that wakes all, of each time that it
// is loaded.
func wakeParams(all []observe.Blocker) (params []string) {
	for some := range slices.Chunk(all, mostWoken) {
		var tids []string
		for _, b := range some {
			tids = append(tids, strconv.Itoa(b.TID))
		}
		params = append(params, "tids="+strings.Join(tids, ","))
	}
	return params
}

func tryRevert(ctx context.Context, t *attempt) (*Applied, string, error) {
	found := t.stall.found
	if found.To == observe.Apply {
		a, err := t.Disable(ctx, found.Module, t.StallAfter)
		return a, "", err
	}
	a, err := t.Enable(ctx, found.Module, t.StallAfter)
	return a, "", err
}

func tryForce(ctx context.Context, t *attempt) (*Applied, string, error) {
	const note = "consistency is gone: tasks count as switched whose stacks nobody looked at, and the module can never be removed"
	name := t.stall.found.Module.Name
	err := t.Client.Force(ctx, name)
	t.rec.action("force", name, "", err)
	if err != nil {
		return nil, note, t.orDeath(err)
	}
	a, err := t.follow(ctx)
	return a, note, err
}

//go:embed wake/switchyard_wake.c
var wakeSource []byte

// prepareFutures builds what a future needs, before any guest is started.
func (x *execution) prepareFutures(ctx context.Context) error {
	if !slices.Contains(x.Futures, "wake") {
		return nil
	}
	var err error
	if x.wake, err = x.yard.builtIn(ctx, x.kit, "switchyard_wake", wakeSource); err != nil {
		return fmt.Errorf("the module that future wake needs: %w", err)
	}
	return nil
}
