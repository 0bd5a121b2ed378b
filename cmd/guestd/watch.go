// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// ringSize is how many events wait for a host that does not read: some 2 MiB.
const ringSize = 8192

// loadsEvery is how often the loads' counters become an event unless told.
const loadsEvery = 100 * time.Millisecond

// watch is the watcher, the kernel's log and the loads' counters, flowing into
// one ring. It outlasts the session that started it if that asked for it.
type watch struct {
	ring   *sampler.Ring
	ctx    context.Context // ends with the watch
	cancel context.CancelFunc
	done   sync.WaitGroup
	failed chan error // the watcher could not begin
}

// watchFor answers "watch".
func (a *agent) watchFor(ctx context.Context, in channel.WatchOptions, emit func(any) error) error {
	w, err := a.watchOf(in)
	if err != nil {
		return err
	}
	if !in.Keep {
		defer a.endWatch(w)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-w.failed:
			w.failed <- err // for a later reader as well
			cancel(err)
		case <-w.ctx.Done():
			cancel(errReplaced)
		case <-ctx.Done():
		}
	}()
	batch := make([]observe.Event, 0, 64)
	for seq := in.Since; ; {
		events, lost, err := w.ring.Next(ctx, seq, batch[:0])
		if err != nil {
			return context.Cause(ctx)
		}
		if lost > 0 {
			gap := observe.Event{Clock: observe.Guest, T: monotonic(), Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostRing, N: lost}}
			if err := emit(gap); err != nil {
				return err
			}
		}
		for _, e := range events {
			if err := emit(e); err != nil {
				return err
			}
			seq = e.Seq
		}
	}
}

var errReplaced = errors.New("the watch was ended by another")

// watchOf is the watch that runs (Since) or a new one in its place.
func (a *agent) watchOf(in channel.WatchOptions) (*watch, error) {
	// One at a time: they share the tracing instance and the priority.
	a.watching.Lock()
	defer a.watching.Unlock()
	a.gate.Open()
	if in.Since > 0 {
		if a.watch == nil {
			return nil, errors.New("no watch runs")
		}
		return a.watch, nil
	}
	if a.watch != nil {
		a.stopWatch()
	}
	if err := a.priority.set(true); err != nil {
		return nil, err
	}
	a.watch = a.newWatch(in)
	return a.watch, nil
}

func (a *agent) newWatch(in channel.WatchOptions) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{ring: sampler.NewRing(a.ring), ctx: ctx, cancel: cancel, failed: make(chan error, 1)}
	// From here on, or a record between the first event and the log's first
	// read would be missed. A kernel without /dev/kmsg is watched without.
	kmsg, _ := sampler.OpenKernelLog()
	// The others begin once the watcher has told its event, to be the first.
	up, isUp := context.WithCancel(ctx)
	first := func(e observe.Event) { w.ring.Emit(e); isUp() }
	w.done.Go(func() {
		defer confess()
		err := sampler.Watch(ctx, sampler.Options{
			Period: time.Duration(in.PeriodNS), Functions: in.Functions, NoRounds: in.NoRounds, Gate: &a.gate,
			BlockersAfter: time.Duration(in.BlockersAfterNS), BlockersEvery: time.Duration(in.BlockersEveryNS),
		}, first)
		if err != nil && ctx.Err() == nil {
			w.failed <- err
		}
	})
	if kmsg != nil {
		w.done.Go(func() { guarded(func() { <-up.Done(); _ = sampler.KernelLog(ctx, kmsg, w.ring.Emit) }) })
	}
	if in.LoadsEveryNS >= 0 {
		every := time.Duration(in.LoadsEveryNS)
		if every == 0 {
			every = loadsEvery
		}
		w.done.Go(func() {
			guarded(func() { <-up.Done(); a.readLoadsEvery(ctx, max(every, time.Millisecond), w.ring.Emit) })
		})
	}
	return w
}

// note puts an event into the watch that runs; without one it is lost.
func (a *agent) note(e observe.Event) {
	a.watching.Lock()
	w := a.watch
	a.watching.Unlock()
	if w != nil {
		w.ring.Emit(e)
	}
}

// first waits for the event with which a watch begins.
func (w *watch) first() (observe.Event, error) {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-w.failed:
			w.failed <- err // for a later reader as well
			cancel(err)
		case <-ctx.Done():
		}
	}()
	events, _, err := w.ring.Next(ctx, 0, make([]observe.Event, 0, 1))
	if err != nil {
		return observe.Event{}, context.Cause(ctx)
	}
	return events[0], nil
}

// endWatch stops w if it is still the one that runs.
func (a *agent) endWatch(w *watch) {
	a.watching.Lock()
	defer a.watching.Unlock()
	if a.watch == w {
		a.stopWatch()
	}
}

// stopWatch stops the watch and waits until it took its hands off the tracer.
func (a *agent) stopWatch() {
	a.watch.cancel()
	a.watch.done.Wait()
	a.watch = nil
	_ = a.priority.set(false) // no harm if it stays
}

func (a *agent) readLoadsEvery(ctx context.Context, every time.Duration, emit func(observe.Event)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.gate.Wait(ctx)
		case <-ctx.Done():
			return
		}
		t := monotonic()
		for _, l := range a.eachLoad((*load.Process).Reading) {
			emit(observe.Event{T: t, Kind: observe.KindLoad, Load: &l})
		}
	}
}
