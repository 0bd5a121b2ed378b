// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Options say what to watch and how often. The zero value is good.
type Options struct {
	Period time.Duration // between two looks; 0 for 5 ms, at most 10 ms
	// IdlePeriod is the same while no transition runs, and again when one has
	// run for half a second; 0 for 10 ms. The stamp of a start loses nothing
	// by it where the kernel can be traced.
	IdlePeriod time.Duration
	// Functions are the patched functions, for the blockers' stacks.
	Functions []string
	// BlockersAfter is the age of a transition at which those that remain are
	// examined, and from then on every BlockersEvery; 0 for 3 s and 5 s,
	// negative for never.
	BlockersAfter, BlockersEvery time.Duration
	NoRounds                     bool // leave the function tracer alone
	// Proc and Sys are the roots of the two file systems; "" for /proc, /sys.
	Proc, Sys string
}

func (o *Options) defaults() {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.Period, 5*time.Millisecond)
	set(&o.BlockersAfter, 3*time.Second)
	set(&o.BlockersEvery, 5*time.Second)
	set(&o.IdlePeriod, 10*time.Millisecond)
	o.Period = min(max(o.Period, time.Millisecond), 10*time.Millisecond)
	o.IdlePeriod = min(max(o.IdlePeriod, o.Period), 10*time.Millisecond)
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Sys == "" {
		o.Sys = "/sys"
	}
}

// How the time of a look is spent, as parts of a period.
const (
	// sweepShare is for the first look at every task when a transition has
	// just begun: the curve's steepest part is worth it.
	sweepShare = 2 // a half
	pollShare  = 4 // for the tasks that are left
	walkShare  = 20
	// restWalk is the pause between two walks over /proc, in and out of a
	// transition. A walk costs some 40 us a task under TCG.
	restWalk     = 500 * time.Millisecond
	restWalkIdle = 2 * time.Second
	steep        = 500 * time.Millisecond // the beginning of a transition
	costEvery    = time.Second
	roundsEvery  = 50 * time.Millisecond
)

// Watch looks until ctx ends and emits what it sees. It blocks. The first
// event, of kind observe.KindWatch, says that nothing is missed from now on.
// emit must not block and may be called from several goroutines.
func Watch(ctx context.Context, o Options, emit func(observe.Event)) error {
	o.defaults()
	tasks, err := newTasks(o.Proc)
	if err != nil {
		return err
	}
	defer tasks.close()
	for !tasks.discover(now() + int64(time.Second)) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	w := &watcher{Options: o, emit: emit, tasks: tasks, patches: newPatches(o.Sys+"/kernel/livepatch", emit)}
	defer w.patches.close()
	hello := observe.Watch{PeriodNS: int64(o.Period), Tasks: len(tasks.order), PatchState: hasPatchState(o.Proc)}
	if o.NoRounds {
		hello.Why = "not asked for"
	} else if w.rounds, err = startRounds(o.Sys + "/kernel/tracing"); err != nil {
		hello.Why = err.Error()
	} else {
		defer w.rounds.close()
		hello.Rounds, hello.Signals = w.rounds.has(traceRound), w.rounds.has(traceSignal)
		hello.Why = w.rounds.why
	}

	var examiners sync.WaitGroup
	defer examiners.Wait()
	w.examine = func(round int) {
		examiners.Go(func() {
			for _, b := range Blockers(ctx, o.Proc, o.Sys, o.Functions) {
				b.Round = round
				emit(observe.Event{T: now(), Kind: observe.KindBlocker, Blocker: &b})
			}
		})
	}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	hello.Realtime = Realtime()
	w.patches.look(now())
	emit(observe.Event{T: now(), Kind: observe.KindWatch, Watch: &hello})
	w.run(ctx)
	return ctx.Err()
}

func hasPatchState(proc string) bool {
	return unix.Access(proc+"/self/patch_state", unix.F_OK) == nil
}

// Realtime makes this thread SCHED_RR at the lowest priority; true if it is.
// All threads of the agent have this one priority: Go's runtime spins with
// sched_yield on what another thread holds, which would never end above that
// thread.
func Realtime() bool {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	return unix.SchedSetAttr(0, &attr, 0) == nil
}

type watcher struct {
	Options
	emit    func(observe.Event)
	tasks   *tasks
	patches *patches
	rounds  *rounds // nil: this kernel has none
	examine func(round int)

	active    *patch // in transition at the last look
	to        string
	began     int64 // of the transition
	walked    int64 // the end of the last walk
	drained   int64 // the last look at the rounds
	examined  int64 // the last examination of blockers
	cost      observe.Cost
	costSince int64
	cpu       int64 // of the thread, when cost was last told
}

// run looks once a period, at fixed times: one that is late does not make
// the next one late, and those that were missed are not made up for.
func (w *watcher) run(ctx context.Context) {
	next := now()
	w.costSince, w.cpu = next, clock(unix.CLOCK_THREAD_CPUTIME_ID)
	for ctx.Err() == nil {
		period := int64(w.Period)
		if w.active == nil || next-w.began > int64(steep) {
			period = int64(w.IdlePeriod)
		}
		next += period
		if t := now(); t > next {
			next += (t - next) / period * period
		}
		at := unix.NsecToTimespec(next)
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
		}
		t := now()
		var cpu int64
		if w.active != nil { // each look's cost is only worth its own cost then
			cpu = clock(unix.CLOCK_THREAD_CPUTIME_ID)
		}
		sample := w.look(t)
		if sample != nil {
			sample.LateNS = t - next
			if cpu != 0 {
				sample.CostNS = clock(unix.CLOCK_THREAD_CPUTIME_ID) - cpu
			}
			w.emit(observe.Event{T: t, Kind: observe.KindSample, Sample: sample})
			w.cost.MaxCPUNS = max(w.cost.MaxCPUNS, sample.CostNS)
		}
		w.account(t, t-next)
	}
	if w.rounds != nil {
		w.rounds.drain(w.emit)
	}
}

// account tells once a second what the thread has cost, all included.
func (w *watcher) account(t, late int64) {
	c := &w.cost
	c.Looks++
	c.MaxLateNS = max(c.MaxLateNS, late)
	if c.WallNS = t - w.costSince; c.WallNS >= int64(costEvery) {
		cpu := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		c.CPUNS, w.cpu = cpu-w.cpu, cpu
		done := *c
		w.emit(observe.Event{T: t, Kind: observe.KindCost, Cost: &done})
		w.cost, w.costSince = observe.Cost{}, t
	}
}

// look is one look at everything; the sample is nil while no transition runs.
func (w *watcher) look(t int64) *observe.Sample {
	// Tasks that were left switch before the edge that ends it all is told.
	was := w.active
	var edges []observe.Event
	w.patches.emit = func(e observe.Event) { edges = append(edges, e) }
	active := w.patches.look(t)
	if was != nil && (active == nil || active.name != was.name) {
		w.over(t)
	}
	for _, e := range edges {
		w.emit(e)
	}
	w.active = active
	if active != nil && (was == nil || was.name != active.name) {
		w.begin(t)
	}
	period := int64(w.Period)
	var sample *observe.Sample
	if active != nil {
		if w.to != active.to { // reversed
			w.begin(t)
		}
		sample = w.count(t, active)
	}
	w.walk(t, t+period/walkShare)
	if w.rounds != nil && (t-w.drained > int64(roundsEvery) && active != nil || t-w.drained > int64(costEvery) || len(edges) > 0) {
		w.drained = t
		w.rounds.drain(w.emit)
	}
	return sample
}

// begin: from now on it is counted who has not switched.
func (w *watcher) begin(t int64) {
	w.began, w.examined, w.to = t, 0, w.active.to
	w.tasks.restart()
	w.walked = 0 // and once more who there is, at once
}

// over tells of the tasks that switched since the look before.
func (w *watcher) over(t int64) {
	for _, task := range w.tasks.lefts {
		task.standing = switched
		w.emit(task.event(t, -1, false))
	}
	w.tasks.lefts = nil
}

func (w *watcher) count(t int64, active *patch) *observe.Sample {
	target := 0
	if active.to == observe.Apply {
		target = 1
	}
	period := int64(w.Period)
	w.tasks.poll(target, t+period/pollShare, func(task *task, state int, exited bool) {
		w.emit(task.event(t, state, exited))
	})
	if w.tasks.sweep(target, t+period/sweepShare); w.tasks.sought == 0 {
		w.tasks.identify(t + period/pollShare)
	}
	age := t - w.began
	if w.BlockersAfter > 0 && age >= int64(w.BlockersAfter) && len(w.tasks.lefts) > 0 &&
		(w.examined == 0 || w.BlockersEvery > 0 && t-w.examined >= int64(w.BlockersEvery)) {
		w.examined = t
		round := 0
		if w.rounds != nil {
			w.rounds.drain(w.emit)
			round = w.rounds.n
		}
		w.examine(round)
	}
	return &observe.Sample{Patch: active.name, To: active.to, Left: len(w.tasks.lefts), Total: len(w.tasks.order), Unknown: w.tasks.sought}
}

// walk goes on with a walk over /proc, or begins one when it is time.
func (w *watcher) walk(t, deadline int64) {
	rest := restWalkIdle
	if w.active != nil {
		rest = restWalk
	}
	if !w.tasks.walking && t-w.walked < int64(rest) {
		return
	}
	if w.tasks.discover(deadline) {
		w.walked = t
	}
}
