// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestRest: an idle watcher whom the kernel wakes looks seldom, and at once when
// something was traced; while there may be a transition, in one, and on a kernel
// that does not wake it, it looks as often as it is told to.
func TestRest(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	watcherOf := func(names ...string) *watcher {
		var o Options
		o.defaults()
		return &watcher{Options: o, rounds: &rounds{pipe: int(r.Fd()), names: names}}
	}
	// Looks that are over are left out: on a busy host one may be, of many not
	// each time.
	rests := func(w *watcher, period time.Duration, since func(last int64)) {
		t.Helper()
		var last, next int64
		for range 20 {
			last = now() + int64(20*time.Millisecond)
			since(last)
			if next = w.rest(last); next == last+int64(period) {
				return
			}
		}
		require.Equal(t, last+int64(period), next)
	}
	whenever := func(int64) {}

	idle := watcherOf(traceStart)
	rests(idle, restPeriod, whenever)
	require.Zero(t, idle.alert)

	deaf := watcherOf(traceRound)
	rests(deaf, deaf.IdlePeriod, whenever)

	_, err = w.Write([]byte("x"))
	require.NoError(t, err)
	last := now() + int64(time.Hour)
	woken := idle.rest(last)
	require.Less(t, woken, last)
	require.Equal(t, woken+int64(alertness), idle.alert)
	rests(idle, idle.IdlePeriod, func(last int64) { idle.alert = last }) // a transition may be under way

	busy := watcherOf(traceStart)
	busy.active = &patch{}
	rests(busy, busy.Period, func(last int64) { busy.began = last })
	rests(busy, busy.IdlePeriod, func(last int64) { busy.began = last - int64(steep) - 1 })
}

// TestWokenBehindASignal: a signal does not make a watcher sleep through what is
// traced behind it.
func TestWokenBehindASignal(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid, woken := unix.Gettid(), make(chan error)
	go func() {
		awaitSleep(tid)
		sleeps := sleepsOf(tid)
		err := unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // the runtime's own
		for err == nil && sleepsOf(tid) == sleeps {
			runtime.Gosched()
		}
		_, wrote := w.Write([]byte("x"))
		woken <- errors.Join(err, wrote)
	}()
	traced := &rounds{pipe: int(r.Fd())}
	require.True(t, traced.wait(now()+int64(20*time.Second)))
	require.NoError(t, <-woken)
}

// sleepsOf is how often a thread of this process has gone to sleep, as /proc
// tells it.
func sleepsOf(tid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	_, rest, _ := strings.Cut(string(b), "\nvoluntary_ctxt_switches:")
	n, _, _ := strings.Cut(rest, "\n")
	return n
}
