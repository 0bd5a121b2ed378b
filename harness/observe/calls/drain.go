// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// called counts a call.
func (t *Tracer) called(c call) {
	start, _ := t.symbols.find(c.parent)
	if start == 0 {
		start = c.parent
	}
	if !t.counts.add(c, start) {
		return
	}
	f := t.functions[c.function]
	of := &observe.Call{
		Object: f.Object, Name: f.Name, Sympos: f.Sympos, Version: c.version, Caller: t.caller(start),
		Context: c.context, TID: c.pid, CPU: c.cpu,
	}
	if c.level == inTask {
		of.Comm = t.tasks.of(c.pid).comm
	}
	t.emit(observe.Event{T: c.t, Kind: observe.KindCall, Call: of})
}

func (t *Tracer) caller(address uint64) string {
	if address == 0 {
		return ""
	}
	if _, name := t.symbols.find(address); name != "" {
		return name
	}
	return fmt.Sprintf("%#x", address)
}

// The drains.
const (
	drainEvery = 50 * time.Millisecond
	tellEvery  = time.Second
	// mostHeld bounds the records in memory.
	mostHeld = 256 << 10
)

// start drains until End.
func (t *Tracer) start() {
	stop := make(chan struct{})
	t.stop = stop
	t.done.Go(func() {
		_ = t.o.Run(func() error {
			tick := time.NewTicker(drainEvery)
			defer tick.Stop()
			told := now()
			for {
				select {
				case <-stop:
					return nil
				case <-tick.C:
				}
				t.mu.Lock()
				n := now()
				t.drain(n - holdBack)
				t.pairs.settle(n, nil)
				if n-told >= int64(tellEvery) {
					told = n
					t.tell()
					t.economise(n)
				}
				t.mu.Unlock()
			}
		})
	})
}

// drain takes in what was traced up to limit.
func (t *Tracer) drain(limit int64) {
	began := threadTime()
	t.tasks.rest()
	t.read()
	slices.SortStableFunc(t.held, func(a, b record) int { return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.cpu, b.cpu)) })
	done := 0
	for ; done < len(t.held) && t.held[done].t <= limit; done++ {
		t.take(t.held[done])
	}
	t.held = slices.Delete(t.held, 0, done)
	spent := threadTime() - began
	t.counts.cpu += spent
	t.spent.cpu += spent
}

// read takes the records out of the buffers.
func (t *Tracer) read() {
	var lost uint64
	n := uint64(0)
	missing, err := t.instance.drain(func(r record) {
		if n++; len(t.held) >= mostHeld {
			lost++
			return
		}
		t.held = append(t.held, r)
	})
	t.lose(lost + missing)
	if err != nil && t.broken == nil {
		t.broken = err
		t.lose(1)
	}
	t.counts.events += n
	t.spent.records += int64(n)
}

// over says whether a task has nothing to tell any more: it sleeps or is gone,
// and after that was seen no record of it lies in the buffers, nor among those
// that are held back.
func (t *Tracer) over(key stackKey) bool {
	if !t.tasks.asleep(key.id) {
		return false
	}
	t.read()
	return !slices.ContainsFunc(t.held, func(r record) bool { return r.kind == entered && keyOf(r) == key })
}

func (t *Tracer) take(r record) {
	var of target
	switch r.kind {
	case entered:
		of = t.entry(r.ip)
	case born:
		t.tasks.born(r.pid)
	}
	switch of.mark {
	case markStart, markReverse:
		t.counts.cut(r.t, true)
	case markComplete:
		t.counts.cut(r.t+slack, false)
	}
	t.pairs.take(r, of)
}

// slack is how far behind the mark of a transition's completion a call is late:
// the clock is read for both on different CPUs.
const slack = 1e6

// lose tells of records that are missing.
func (t *Tracer) lose(n uint64) {
	if n == 0 {
		return
	}
	t.lost += n
	t.emit(observe.Event{T: now(), Kind: observe.KindLost, Lost: &observe.Lost{Source: observe.LostCalls, N: n}})
}

// tell emits what was counted.
func (t *Tracer) tell() {
	for _, e := range t.counts.tell(now(), t.describe) {
		t.emit(e)
	}
}

func (t *Tracer) describe(key countKey) observe.CallCount {
	f := t.functions[key.function]
	return observe.CallCount{
		Object: f.Object, Name: f.Name, Sympos: f.Sympos, Version: key.version,
		Caller: strings.ToValidUTF8(t.caller(key.caller), "\ufffd"), Context: key.context,
	}
}

// Flush takes in and tells all calls that were made until now.
func (t *Tracer) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pairs == nil {
		return
	}
	_ = t.o.Run(func() error { t.flush(); return nil })
}

func (t *Tracer) flush() {
	limit := now()
	for until := limit + holdBack; now() < until; {
		at := unix.NsecToTimespec(until)
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil)
	}
	t.drain(limit)
	// What is not decided yet comes with a later record, or with time.
	for t.pairs.settle(now(), t.over); t.pairs.undecided(limit); t.pairs.settle(now(), t.over) {
		rest := unix.NsecToTimespec(int64(drainEvery))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &rest, nil)
		t.drain(now() - holdBack)
	}
	t.findStrangers()
	if all := t.instance.overrun() - t.overrun; all > t.lost {
		t.lose(all - t.lost) // what no page says is missing before it
	}
	t.tell()
}

// End stops seeing calls, after all that were made are told.
func (t *Tracer) End() {
	t.mu.Lock()
	stop := t.stop
	t.stop = nil
	t.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	t.done.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.o.Run(func() error {
		t.flush()
		return t.instance.off()
	})
}

// spending is what the drains cost since the last look at it.
type spending struct{ since, cpu, records int64 }

// tooMuch says whether that is too much: more than a tenth of a CPU, which a
// host that gives an emulated CPU little time makes of few records, too; and
// more records than a tenth of an emulated CPU reads.
func (s spending) tooMuch(n int64) bool {
	took := n - s.since
	return took > 0 && s.cpu*mostShare > took && s.records*int64(time.Second) > mostRecords*took
}

const (
	mostShare   = 10
	mostRecords = 5000 // a second
)

// economise gives a function up whose calls are too many: to see them would
// slow the guest, and fill its buffers until others are lost.
func (t *Tracer) economise(n int64) {
	spent := t.spent
	t.spent = spending{since: n}
	if !spent.tooMuch(n) {
		return
	}
	i := t.counts.last
	if i < 0 {
		return
	}
	f := &t.functions[i]
	f.told = true
	f.unseen = fmt.Sprintf("it is called too often to be traced: to read its calls took %d %% of a CPU; they are counted up to here", spent.cpu*100/(n-spent.since))
	var words []string
	for _, w := range f.filter {
		words = append(words, "!"+w)
	}
	for _, r := range f.patches {
		words = append(words, "!"+r.name+":mod:"+r.patch)
	}
	_ = t.instance.filter(words...)
	t.tellUnseen(map[string]string{f.key(): f.unseen})
}

// now is CLOCK_MONOTONIC in ns.
func now() int64 { return observe.Monotonic() }

func threadTime() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return t.Nano()
}
