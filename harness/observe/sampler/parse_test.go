// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 1 1 0 -1 %s 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0"
	line := func(comm, flags string) []byte {
		return []byte("12 (" + comm + ")" + strings.Replace(rest, "%s", flags, 1))
	}
	for _, comm := range []string{"init", "a) S 1 (b", "", "kworker/0:1-ev", "\n"} {
		got, err := parseStat(line(comm, "69238880"))
		require.NoError(t, err)
		require.Equal(t, stat{comm: comm, state: "S", flags: 69238880, cpu: 3}, got)
	}
	vcpu, err := parseStat([]byte("12 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0 7"))
	require.NoError(t, err)
	require.True(t, vcpu.guest, "guest_time is its 43rd field")
	for flags, kind := range map[string]string{
		"69238880": observe.KWorker,  // kworker of 6.1: WQ_WORKER, KTHREAD, …
		"2129984":  observe.KThread,  // ksoftirqd
		"4194304":  observe.UserTask, // a shell
		"4194320":  observe.IOWorker,
	} {
		got, err := parseStat(line("x", flags))
		require.NoError(t, err)
		require.Equal(t, kind, kindOf(got), flags)
	}
	for _, bad := range []string{"", "1 (x", "1 )x(", "1 (x) S 1"} {
		_, err := parseStat([]byte(bad))
		require.Error(t, err, bad)
	}
}

// Lines as 6.1 and 6.12 print them.
func TestParseTrace(t *testing.T) {
	for line, want := range map[string]struct {
		name string
		t    int64
	}{
		"          insmod-91      [000] .....    12.345678: klp_try_complete_transition <-klp_enable_patch":               {traceRound, 12345678000},
		"     kworker/0:1-9       [000] d..1. 1234.000001: klp_try_complete_transition <-klp_transition_work_fn":          {traceRound, 1234000001000},
		"  a: klp_x <-y 9.1: -1   [000] .....     1.000002: klp_init_transition <-__klp_enable_patch":                     {traceStart, 1000002000},
		"           <...>-77      [001] ...1.     0.000000: klp_complete_transition <-klp_try_complete_transition.part.0": {traceComplete, 0},
	} {
		name, at, ok := parseTrace(line)
		require.True(t, ok, line)
		require.Equal(t, want.name, name)
		require.Equal(t, want.t, at)
	}
	for _, bad := range []string{"", "#", " <-", ": x <-y", "x 1: f <-g", "x 1.2: f <-g", "x -1.000000: f <-g", "x 1.00000a: f <-g"} {
		_, _, ok := parseTrace(bad)
		require.False(t, ok, bad)
	}
}

func TestRoundsCountWithinATransition(t *testing.T) {
	r := &rounds{}
	var got []observe.Event
	for _, line := range []string{
		"x-1 [000] ..... 1.000001: klp_init_transition <-__klp_enable_patch",
		"x-1 [000] ..... 1.000002: klp_try_complete_transition <-klp_enable_patch",
		"CPU:0 [LOST 12 EVENTS]",
		"x-1 [000] ..... 2.000002: klp_try_complete_transition <-klp_transition_work_fn",
		"x-1 [000] ..... 2.000003: klp_complete_transition <-klp_try_complete_transition",
		"x-1 [000] ..... 2.000004: klp_start_transition <-x",
		"x-1 [000] ..... 3.000001: klp_init_transition <-__klp_disable_patch",
		"x-1 [000] ..... 3.000002: klp_try_complete_transition <-__klp_disable_patch",
	} {
		r.line(line, func(e observe.Event) { got = append(got, e) })
	}
	var kinds []string
	for _, e := range got {
		text := e.Kind
		switch {
		case e.Round != nil:
			text += string(rune('0' + e.Round.N))
		case e.Transition != nil:
			require.True(t, e.Transition.Exact)
			text = e.Transition.Edge
		case e.Lost != nil:
			require.EqualValues(t, 12, e.Lost.N)
		}
		kinds = append(kinds, text)
	}
	require.Equal(t, []string{"start", "round1", "lost", "round2", "end", "start", "round1"}, kinds)
}

// records is /dev/kmsg: one record, or one error, a read.
type records []any

func (r *records) Read(b []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	next := (*r)[0]
	*r = (*r)[1:]
	if err, ok := next.(error); ok {
		return 0, err
	}
	return copy(b, next.(string)), nil
}

func TestKernelLog(t *testing.T) {
	in := records{
		"6,100,5000001,-;livepatch: 'p': starting patching transition\n SUBSYSTEM=x\n",
		"4,101,5000002,-,caller=T1;two \x01 words\n",
		syscall.EPIPE,
		"5,110,6000000,-;livepatch: signaling remaining tasks\n",
		"not a record",
		"13,111,6000001,-;livepatch: signaling remaining tasks\n", // written by a program
	}
	var texts []string
	var lost uint64
	signals := 0
	err := readKernelLog(context.Background(), &in, func(e observe.Event) {
		switch {
		case e.KernelLog != nil:
			texts = append(texts, e.KernelLog.Text)
		case e.Lost != nil:
			lost += e.Lost.N
		case e.Signal != nil:
			signals++
		}
	})
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []string{"livepatch: 'p': starting patching transition", "two \x01 words", "livepatch: signaling remaining tasks", "livepatch: signaling remaining tasks"}, texts)
	require.EqualValues(t, 8, lost)
	require.Equal(t, 1, signals, "the program's does not count")
}

// TestKernelLogFromTheMiddle: what was overwritten before anything was read is
// told of as well, though nobody knows how much it was.
func TestKernelLogFromTheMiddle(t *testing.T) {
	in := records{syscall.EPIPE, syscall.EPIPE, "5,110,6000000,-;one\n", "5,111,6000001,-;two\n"}
	var lost []observe.Lost
	err := readKernelLog(context.Background(), &in, func(e observe.Event) {
		if e.Lost != nil {
			lost = append(lost, *e.Lost)
		}
	})
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []observe.Lost{{Source: observe.LostKernelLog}}, lost)
}

func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		state     string
		stack     string
		wchan     string
		function  string
		patched   bool
		reason    string
		functions []string
	}{
		"asleep on it":        {"S", "[<0>] msleep+0x1/0x2\n[<0>] hold_here+0x8d/0xd0 [hold]\n[<0>] kthread+0x1/0x2\n", "", "hold_here", true, observe.Asleep, []string{"hold_here"}},
		"asleep on a part":    {"D", "[<0>] f.constprop.0+0x1/0x2\n", "", "f.constprop.0", true, observe.Asleep, []string{"f"}},
		"on the replacement":  {"S", "[<0>] new_f+0x1/0x2 [thepatch]\n", "", "new_f", true, observe.Asleep, nil},
		"with a build id":     {"S", "[<0>] new_f+0x1/0x2 [thepatch 0011223344]\n", "", "new_f", true, observe.Asleep, nil},
		"elsewhere":           {"S", "[<0>] do_wait+0x1/0x2\n[<0>] kernel_wait4+0x1/0x2\n", "do_wait", "do_wait", false, observe.Waiting, []string{"f"}},
		"running":             {"R", "", "", "", false, observe.Running, []string{"f"}},
		"no stack to be read": {"S", "", "poll_schedule", "poll_schedule", false, observe.Waiting, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := observe.Blocker{State: tc.state, Stack: parseStack(tc.stack), Wchan: tc.wchan}
			judge(&b, "thepatch", tc.functions)
			require.Equal(t, tc.function, b.Function)
			require.Equal(t, tc.patched, b.Patched)
			require.Equal(t, tc.reason, b.Reason)
		})
	}
}

// Names of tasks and the kernel's log are what anybody in the guest makes of
// them.
func FuzzParsers(f *testing.F) {
	f.Add("1 (x) S 1 1 1 0 -1 69238880 0 0")
	f.Add("x-1 [000] ..... 1.000001: klp_init_transition <-y")
	f.Add("6,100,5000001,-;text\n")
	f.Add("[<0>] f+0x1/0x2 [m]\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parseStat([]byte(text))
		if _, at, ok := parseTrace(text); ok && at < 0 {
			t.Fatalf("a stamp before the boot: %d", at)
		}
		if rec, ok := parseRecord([]byte(text)); ok && (len(rec.Text) > 3*maxText || rec.Level > 7) {
			t.Fatalf("record %+v", rec)
		}
		if frames := parseStack(text); len(frames) > maxFrames {
			t.Fatalf("%d frames", len(frames))
		}
		r := &rounds{}
		r.line(text, func(observe.Event) {})
	})
}
