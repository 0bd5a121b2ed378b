// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Options say what to watch and how often. The zero value is good.
type Options struct {
	Period time.Duration // between two looks; 0 for 5 ms, at most 10 ms
	// IdlePeriod is the same while no transition runs, and again when one has
	// run for half a second; 0 for 10 ms. Where the kernel wakes us for a start
	// there are fewer looks while nothing runs.
	IdlePeriod time.Duration
	// Functions are the patched functions, for the blockers' stacks.
	Functions []string
	// BlockersAfter is the age of a transition at which those that remain are
	// examined, and from then on every BlockersEvery; 0 for 3 s and 5 s,
	// negative for never.
	BlockersAfter, BlockersEvery time.Duration
	// CoreAfter is the age at which an examination asks the livepatch core too,
	// and from then on every CoreEvery; 0 for 10 s and 15 s, negative for never.
	CoreAfter, CoreEvery time.Duration
	NoRounds             bool // leave the function tracer alone
	Gate                 *Gate
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
	set(&o.CoreAfter, 10*time.Second)
	set(&o.CoreEvery, 15*time.Second)
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
	pollShare  = 4 // for the tasks that are left, while they switch
	// thriftShare is for them once nobody has switched for a while: with
	// thousands of tasks left a look would otherwise always take all its time.
	thriftShare = 64
	// newsShare is how many of the scout's news are heard in one look.
	newsShare   = 64
	steep       = 500 * time.Millisecond // the beginning of a transition
	calm        = 200 * time.Millisecond // nobody has switched for so long
	costEvery   = time.Second
	roundsEvery = 50 * time.Millisecond
)

// Watch looks until ctx ends and emits what it sees. It blocks. The first
// event, of kind observe.KindWatch, says that nothing is missed from now on.
// emit must not block and may be called from several goroutines.
func Watch(ctx context.Context, o Options, emit func(observe.Event)) error {
	o.defaults()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tasks := &tasks{scout: newScout(o.Proc)}
	tasks.scout.gate = o.Gate
	defer tasks.close()
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel(nil)
	surveyed := make(chan struct{})
	helpers.Go(func() {
		if err := tasks.scout.run(ctx, surveyed); err != nil {
			cancel(err)
		}
	})
	if err := tasks.await(ctx, surveyed); err != nil {
		return err
	}
	w := &watcher{Options: o, emit: emit, tasks: tasks, patches: newPatches(o.Sys+"/kernel/livepatch", emit)}
	defer w.patches.close()
	var err error
	hello := observe.Watch{PeriodNS: int64(o.Period), Tasks: tasks.total(), PatchState: hasPatchState(o.Proc)}
	if o.NoRounds {
		hello.Why = "not asked for"
	} else if w.rounds, err = startRounds(o.Sys + "/kernel/tracing"); err != nil {
		hello.Why = err.Error()
	} else {
		defer w.rounds.close()
		hello.Rounds, hello.Signals = w.rounds.has(traceRound), w.rounds.has(traceSignal)
		hello.Why = w.rounds.why
	}

	w.examine = func(round int, tasks []string, core bool) {
		helpers.Go(func() {
			ordinaryThread() // it looks up /proc as well
			began := clock(unix.CLOCK_THREAD_CPUTIME_ID)
			x := Examination{Proc: o.Proc, Sys: o.Sys, Functions: o.Functions, Tasks: tasks, Most: mostExamined, For: time.Second, Core: core}
			for _, b := range x.Blockers(ctx) {
				b.Round = round
				emit(observe.Event{T: now(), Kind: observe.KindBlocker, Blocker: &b})
			}
			w.examineCPU.Add(clock(unix.CLOCK_THREAD_CPUTIME_ID) - began)
		})
	}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	hello.Realtime = Realtime()
	w.patches.look(now())
	emit(observe.Event{T: now(), Kind: observe.KindWatch, Watch: &hello})
	w.run(ctx)
	return context.Cause(ctx)
}

// await takes in the scout's news until its first walk is done.
func (s *tasks) await(ctx context.Context, surveyed <-chan struct{}) error {
	for {
		select {
		case <-surveyed:
			s.hear(cap(s.scout.news))
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case n := <-s.scout.news:
			s.order = append(s.order, n.task)
			s.sought++
		}
	}
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

// ordinaryThread makes this goroutine's thread an ordinary one, above the
// loads; it ends with the goroutine, for it is never unlocked.
func ordinaryThread() {
	runtime.LockOSThread()
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: -10}, 0) // not allowed outside of a guest
}

type watcher struct {
	Options
	emit    func(observe.Event)
	tasks   *tasks
	patches *patches
	rounds  *rounds // nil: this kernel has none
	examine func(round int, tasks []string, core bool)

	active    *patch // in transition at the last look
	to        string
	began     int64 // of the transition
	drained   int64 // the last look at the rounds
	examined  int64 // the last examination of blockers
	asked     int64 // the last one that asked the core
	turn      int   // where among those left the next one begins
	changed   int64 // the last time that a task was found switched
	alert     int64 // until when there may be a transition that is not seen yet
	cost      observe.Cost
	costSince int64
	cpu       int64 // of the thread, when cost was last told
	scout     int64 // of the scout's
	lookCPU   int64 // of the thread when the last look of a transition began; 0: none did
	lookCosts []int64

	examineCPU atomic.Int64 // of examinations that are done and not told of
}

// run looks once a period, at fixed times: one that is late does not make
// the next one late, and those that were missed are not made up for.
func (w *watcher) run(ctx context.Context) {
	next := now()
	w.costSince, w.cpu = next, clock(unix.CLOCK_THREAD_CPUTIME_ID)
	w.scout = w.tasks.scout.cpu.Load() // the first walk was before the watch
	w.lookCosts = make([]int64, 0, 2*costEvery/w.Period)
	for ctx.Err() == nil {
		next = w.rest(next)
		w.Gate.Wait(ctx)
		t := now()
		var cpu int64
		if w.active != nil { // each look's cost is only worth its own cost then
			cpu = clock(unix.CLOCK_THREAD_CPUTIME_ID)
			if w.lookCPU != 0 && len(w.lookCosts) < cap(w.lookCosts) {
				w.lookCosts = append(w.lookCosts, cpu-w.lookCPU)
			}
		}
		w.lookCPU = cpu
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
		scout := w.tasks.scout.cpu.Load()
		c.ScanNS, w.scout = scout-w.scout, scout
		c.ExamineNS = w.examineCPU.Swap(0)
		if n := len(w.lookCosts); n > 0 {
			slices.Sort(w.lookCosts)
			c.TypicalNS = w.lookCosts[n/2]
		}
		w.lookCosts = w.lookCosts[:0]
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
	if len(edges) > 0 {
		w.alert = t + int64(alertness)
	}
	if active != nil && (was == nil || was.name != active.name) {
		w.begin(t)
	}
	news := newsShare
	if active == nil {
		news = cap(w.tasks.scout.news)
	}
	w.tasks.hear(news)
	var sample *observe.Sample
	if active != nil {
		if w.to != active.to { // reversed
			w.begin(t)
		}
		sample = w.count(t, active)
	}
	if w.rounds != nil && (t-w.drained > int64(roundsEvery) && (active != nil || t < w.alert) || t-w.drained > int64(costEvery) || len(edges) > 0) {
		w.drained = t
		w.rounds.drain(w.emit)
	}
	return sample
}

// begin: from now on it is counted who has not switched.
func (w *watcher) begin(t int64) {
	w.began, w.examined, w.asked, w.to = t, 0, 0, w.active.to
	w.tasks.restart()
	w.tasks.scout.quick.Store(true)
	select {
	case w.tasks.scout.hurry <- struct{}{}: // who has come since the last walk?
	default:
	}
}

// over tells of the tasks that switched since the look before.
func (w *watcher) over(t int64) {
	w.tasks.finish(func(task *task) { w.emit(task.event(t, -1, false)) })
	w.tasks.scout.quick.Store(false)
}

// mostExamined bounds one examination that runs beside the looks: with
// thousands of tasks left each comes to its turn.
const mostExamined = 100

// someLeft are the folders of those to examine next.
func (w *watcher) someLeft() (dirs []string) {
	lefts := w.tasks.lefts
	for range min(len(lefts), mostExamined) {
		w.turn = (w.turn + 1) % len(lefts)
		dirs = append(dirs, filepath.Dir(lefts[w.turn].file))
	}
	return dirs
}

// askCore says whether it is time to ask the livepatch core.
func (w *watcher) askCore(t, age int64) bool {
	if w.CoreAfter < 0 || age < int64(w.CoreAfter) || len(w.tasks.lefts) > mostForCore ||
		w.asked != 0 && (w.CoreEvery < 0 || t-w.asked < int64(w.CoreEvery)) {
		return false
	}
	w.asked = t
	return true
}

func (w *watcher) count(t int64, active *patch) *observe.Sample {
	target := 0
	if active.to == observe.Apply {
		target = 1
	}
	period := int64(w.Period)
	share := int64(pollShare)
	if t-w.began > int64(steep) && t-w.changed > int64(calm) {
		share = thriftShare
	}
	w.tasks.poll(target, t+period/share, func(task *task, state int, exited bool) {
		w.changed = t
		w.emit(task.event(t, state, exited))
	})
	w.tasks.sweep(target, t+period/sweepShare)
	age := t - w.began
	if w.BlockersAfter > 0 && age >= int64(w.BlockersAfter) && (len(w.tasks.lefts) > 0 || age >= int64(w.CoreAfter)) &&
		(w.examined == 0 || w.BlockersEvery > 0 && t-w.examined >= int64(w.BlockersEvery)) {
		w.examined = t
		round := 0
		if w.rounds != nil {
			w.rounds.drain(w.emit)
			round = w.rounds.n
		}
		w.examine(round, w.someLeft(), w.askCore(t, age))
	}
	return &observe.Sample{Patch: active.name, To: active.to, Left: len(w.tasks.lefts), Total: w.tasks.total(), Unknown: w.tasks.sought}
}
