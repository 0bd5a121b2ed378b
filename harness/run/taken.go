// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/vm"
)

// takenEvery is how often the host looks whether its virtual CPUs' threads had
// to wait: some 5 us of CPU time each.
const takenEvery = 2 * time.Millisecond

// mostSpans is how many spans make an event.
const mostSpans = 256

// thread is a thread that runs virtual CPUs, with the file in which the host's
// kernel counts how long it waited.
type thread struct {
	observe.Taken
	file *os.File
	at   int64 // the last look
	wait int64 // ns until then
	told int64 // the end of the last span
}

// watchTaken notes what the host takes from the machine's virtual CPUs until
// ctx ends; done is closed then.
func (g *Guest) watchTaken(ctx context.Context, vcpus []vm.VCPU) (done chan struct{}, err error) {
	var threads []*thread
	for _, v := range vcpus {
		var own *thread
		for _, t := range threads {
			if t.Thread == v.Thread {
				own = t
			}
		}
		if own == nil {
			// https://docs.kernel.org/scheduler/sched-stats.html, /proc/<pid>/schedstat
			file, err := os.Open(fmt.Sprintf("/proc/%d/task/%d/schedstat", g.Machine.Pid(), v.Thread))
			if err != nil {
				closeAll(threads)
				return nil, err
			}
			own = &thread{Taken: observe.Taken{Thread: v.Thread}, file: file}
			threads = append(threads, own)
		}
		own.CPUs = append(own.CPUs, v.CPU)
	}
	for _, t := range threads {
		t.at = observe.Monotonic()
		if t.wait, err = waited(t.file); err != nil {
			closeAll(threads)
			return nil, err
		}
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		defer closeAll(threads)
		tick := time.NewTicker(takenEvery)
		defer tick.Stop()
		for going := true; going; {
			select {
			case <-ctx.Done():
				going = false
			case <-tick.C:
			}
			for _, t := range threads {
				t.look()
				if len(t.Spans) >= 3*mostSpans || !going {
					g.tellTaken(t)
				}
			}
		}
	}()
	return done, nil
}

// look adds the span since the look before, if the thread waited in it.
func (t *thread) look() {
	now := observe.Monotonic()
	wait, err := waited(t.file)
	if err != nil { // the machine has ended
		return
	}
	t.book(now, wait)
}

// book takes in that until now the thread has waited so long in all. The
// kernel adds a wait when it is over: one that is longer than it was since the
// look before began before that look.
func (t *thread) book(now, wait int64) {
	if took := wait - t.wait; took > 0 {
		t.Add(observe.Span{From: max(min(t.at, now-took), t.told), To: now, Wait: took})
		t.told = now
	}
	t.at, t.wait = now, wait
}

func (g *Guest) tellTaken(t *thread) {
	if len(t.Spans) == 0 {
		return
	}
	told := t.Taken
	_ = g.rec.add(observe.Event{Clock: observe.Host, T: t.at, Kind: observe.KindTaken, Taken: &told})
	t.FromNS, t.Spans = 0, nil
}

// waited reads how long a thread has waited for a CPU so far, in ns: the
// second of three numbers.
func waited(f *os.File) (int64, error) {
	var buf [96]byte
	n, err := f.ReadAt(buf[:], 0)
	if n == 0 && err != nil {
		return 0, err
	}
	fields := bytes.Fields(buf[:n])
	if len(fields) != 3 {
		return 0, fmt.Errorf("%s says %q", f.Name(), buf[:n])
	}
	return strconv.ParseInt(string(fields[1]), 10, 64)
}

func closeAll(threads []*thread) {
	for _, t := range threads {
		t.file.Close()
	}
}
