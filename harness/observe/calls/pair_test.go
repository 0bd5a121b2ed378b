// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/observe"
)

var (
	oldF = target{functions: []int{0}}
	newF = target{functions: []int{0}, fresh: true, version: "p"}
	topF = target{functions: []int{0}, fresh: true, version: "q"}
	oldG = target{functions: []int{1}}
	newG = target{functions: []int{1}, fresh: true, version: "p"}
	twin = target{functions: []int{0, 1}, fresh: true, version: "p"} // of both, by one name
	none = target{}
)

// entry is of a task on CPU 0, called from caller.
func entry(pid int, caller uint64) record {
	return record{kind: entered, pid: pid, ip: 1, parent: caller}
}

func at(r record, l level, cpu int) record { r.level, r.cpu = l, cpu; return r }

// TestPairing is what entries in a row come to.
func TestPairing(t *testing.T) {
	type in struct {
		record
		target
	}
	for name, c := range map[string]struct {
		in   []in
		want []string
	}{
		"old":                            {[]in{{entry(7, 1), oldF}}, []string{"0 old system call"}},
		"redirected":                     {[]in{{entry(7, 1), oldF}, {entry(7, 1), newF}}, []string{"0 p system call"}},
		"old, then redirected":           {[]in{{entry(7, 1), oldF}, {entry(7, 1), oldF}, {entry(7, 1), newF}}, []string{"0 old system call", "0 p system call"}},
		"of a stack of patches":          {[]in{{entry(7, 1), oldF}, {entry(7, 1), topF}}, []string{"0 q system call"}},
		"on two tasks at once":           {[]in{{entry(7, 1), oldF}, {entry(8, 1), oldF}, {entry(8, 1), newF}, {entry(7, 1), newF}}, []string{"0 p system call", "0 p system call"}},
		"on two tasks, one is old":       {[]in{{entry(7, 1), oldF}, {entry(8, 1), oldF}, {entry(8, 1), newF}}, []string{"0 p system call", "0 old system call"}},
		"moved to another CPU between":   {[]in{{entry(7, 1), oldF}, {at(entry(7, 1), inTask, 1), newF}}, []string{"0 p system call"}},
		"interrupted between":            {[]in{{entry(7, 1), oldF}, {at(entry(7, 3), inHardIRQ, 0), oldF}, {at(entry(7, 3), inHardIRQ, 0), newF}, {entry(7, 1), newF}}, []string{"0 p hard interrupt", "0 p system call"}},
		"an old one calls a new one":     {[]in{{entry(7, 1), oldF}, {entry(7, 9), oldG}, {entry(7, 9), newG}}, []string{"0 old system call", "1 p system call"}},
		"a new one calls one directly":   {[]in{{entry(7, 1), oldF}, {entry(7, 1), newF}, {entry(7, 9), newG}}, []string{"0 p system call", "1 p system call"}},
		"old, then a direct call of new": {[]in{{entry(7, 1), oldF}, {entry(7, 9), newF}}, []string{"0 old system call", "0 p system call"}},
		"a helper of the patch":          {[]in{{entry(7, 1), oldF}, {entry(7, 1), newF}, {entry(7, 9), none}}, []string{"0 p system call"}},
		"two replacements of one name":   {[]in{{entry(7, 1), oldG}, {entry(7, 1), twin}, {entry(7, 1), oldF}, {entry(7, 1), twin}}, []string{"1 p system call", "0 p system call"}},
		"a kthread and a kworker":        {[]in{{entry(2, 1), oldF}, {entry(2, 1), newF}, {entry(3, 1), oldF}, {entry(3, 1), newF}}, []string{"0 p kthread", "0 p kworker"}},
		"idle on two CPUs":               {[]in{{entry(0, 1), oldF}, {at(entry(0, 1), inTask, 1), oldF}, {at(entry(0, 1), inTask, 1), newF}, {entry(0, 1), newF}}, []string{"0 p idle", "0 p idle"}},
		"a tasklet, then another softirq": {[]in{
			{record{kind: softirqIn}, none}, {at(entry(7, 1), inSoftIRQ, 0), oldF}, {at(entry(7, 1), inSoftIRQ, 0), newF}, {record{kind: softirqOut}, none},
			{at(entry(7, 1), inSoftIRQ, 0), oldF}, {at(entry(7, 1), inSoftIRQ, 0), newF},
		}, []string{"0 p tasklet", "0 p softirq"}},
		"its return is hooked":        {[]in{{entry(7, 1), oldF}, {entry(7, hook), newF}, {entry(7, 1), oldF}}, []string{"0 p system call", "0 old system call"}},
		"records are missing between": {[]in{{entry(7, 1), oldF}, {record{kind: gap}, none}, {entry(7, 1), newF}}, []string{"0 p system call"}},
		"missing on another CPU":      {[]in{{entry(7, 1), oldF}, {record{kind: gap, cpu: 1}, none}, {entry(7, 1), oldF}}, []string{"0 old system call", "0 old system call"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			p := newPairing(context, trampoline, func(c call) { got = append(got, text(c)) })
			for i, in := range c.in {
				in.record.t = int64(i + 1)
				p.take(in.record, in.target)
			}
			p.settle(hopeless+100, nil)
			require.Equal(t, c.want, got)
			require.Empty(t, p.pending)
		})
	}
}

const hook = 99

func trampoline(address uint64) bool { return address == hook }

func context(tid int) string {
	return map[int]string{0: observe.InIdle, 2: observe.InKThread, 3: observe.InKWorker, 7: observe.InSystemCall, 8: observe.InSystemCall}[tid]
}

func text(c call) string {
	version := c.version
	if version == observe.Original {
		version = "old"
	}
	return fmt.Sprintf("%d %s %s", c.function, version, c.context)
}

// TestSettle: what sleeps, or has waited without hope, ran old code; the others
// are not decided.
func TestSettle(t *testing.T) {
	n := 0
	p := newPairing(context, trampoline, func(call) { n++ })
	for _, tid := range []int{7, 8} {
		r := entry(tid, 1)
		r.t = 100
		p.take(r, oldF)
	}
	p.settle(holdBack, nil)
	require.Zero(t, n)
	require.True(t, p.undecided(100))
	require.False(t, p.undecided(99))
	p.settle(100+holdBack+1, func(key stackKey) bool { return key.id == 8 })
	require.Equal(t, 1, n)
	p.settle(100+hopeless, nil)
	require.Equal(t, 1, n)
	p.settle(101+hopeless, nil)
	require.Equal(t, 2, n)
}

// TestPairingCounts: of any mixture of tasks that each call as they should,
// every call is counted once and for what it ran.
func TestPairingCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type task struct{ left []target }
		tasks := map[int]*task{}
		want := map[string]int{}
		for _, pid := range []int{2, 3, 7, 8} {
			one := &task{}
			for range rapid.IntRange(0, 20).Draw(t, "calls") {
				if rapid.Bool().Draw(t, "new") {
					one.left = append(one.left, oldF, newF)
					want["0 p "+context(pid)]++
				} else {
					one.left = append(one.left, oldF)
					want["0 old "+context(pid)]++
				}
			}
			tasks[pid] = one
		}
		got := map[string]int{}
		p := newPairing(context, trampoline, func(c call) { got[text(c)]++ })
		for now := int64(1); ; now++ {
			var ready []int
			for _, pid := range []int{2, 3, 7, 8} {
				if len(tasks[pid].left) > 0 {
					ready = append(ready, pid)
				}
			}
			if len(ready) == 0 {
				p.settle(now+2*hopeless, nil)
				break
			}
			pid := rapid.SampledFrom(ready).Draw(t, "next")
			r := entry(pid, 1)
			r.t, r.cpu = now, rapid.IntRange(0, 1).Draw(t, "cpu")
			p.take(r, tasks[pid].left[0])
			tasks[pid].left = tasks[pid].left[1:]
		}
		require.Equal(t, want, got)
	})
}
