// SPDX-License-Identifier: Apache-2.0

package lateness

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	if os.Args[0] == ProcessName {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

func newSlab(t require.TestingT, cpus int) *Slab {
	s, err := NewSlab(make([]byte, Size(cpus)), cpus)
	require.NoError(t, err)
	return s
}

// TestRecord: whatever comes late, each deadline is counted once, the next one
// lies ahead, and the latest are kept, none of them later than what is not.
func TestRecord(t *testing.T) {
	const period = int64(Period)
	rapid.Check(t, func(t *rapid.T) {
		slab := newSlab(t, 2)
		var wakes []Late // with what was missed behind each left out
		var all Histogram
		first := rapid.Int64Range(0, 1<<40).Draw(t, "first")
		deadline, missed := first, int64(0)
		for range rapid.IntRange(0, 3*kept).Draw(t, "wakes") {
			late := rapid.Int64Range(0, 1<<rapid.IntRange(1, 24).Draw(t, "octave")).Draw(t, "late")
			next := record(slab.block(3, 1), deadline, deadline+late, period)
			require.Greater(t, next, deadline+late)
			require.LessOrEqual(t, next, deadline+late+period)
			require.Zero(t, (next-deadline)%period)
			wakes = append(wakes, Late{deadline, late})
			for ns := late; ns >= 0; ns -= period {
				all = all.Add(ns, 1)
			}
			missed += (next-deadline)/period - 1
			deadline = next
		}
		r := slab.Read(3, 1)
		require.Equal(t, all, r.Histogram)
		require.Equal(t, (deadline-first)/period, r.Count)
		require.Equal(t, missed, r.Missed)
		slices.SortStableFunc(wakes, func(a, b Late) int { return cmp.Compare(b.NS, a.NS) })
		require.Len(t, r.Kept, min(len(wakes), kept))
		slices.SortStableFunc(r.Kept, func(a, b Late) int { return cmp.Compare(b.NS, a.NS) })
		for i, one := range r.Kept {
			require.Equal(t, wakes[i].NS, one.NS, "the %d. latest", i)
			require.Contains(t, wakes, one)
		}
		switch {
		case len(wakes) == 0:
			require.Zero(t, r.LongestNS)
		default:
			require.Equal(t, wakes[0].NS, r.LongestNS)
		}
		if len(wakes) > kept {
			require.Equal(t, wakes[kept].NS, r.UnkeptNS)
		} else {
			require.Zero(t, r.UnkeptNS)
		}
		require.Zero(t, slab.Read(3, 0).Count, "another CPU's")
		require.Zero(t, slab.Read(2, 1).Count, "another window's")
	})
}

// TestHostileSlab: memory that is no slab is refused, and one with nonsense in
// it is read without harm.
func TestHostileSlab(t *testing.T) {
	for name, memory := range map[string][]byte{
		"nothing":   nil,
		"short":     make([]byte, 8),
		"zeros":     make([]byte, Size(1)),
		"half":      memoryOf(t, 2)[:Size(1)],
		"too much":  append(memoryOf(t, 1), 0),
		"many CPUs": withWord(memoryOf(t, 1), headCPUs, 1<<40),
	} {
		_, err := OpenSlab(memory)
		require.Error(t, err, name)
	}
	memory := memoryOf(t, 1)
	s, err := OpenSlab(memory)
	require.NoError(t, err)
	for i := headWords; i < len(memory)/8; i++ {
		withWord(memory, i, 1<<64-1)
	}
	r := s.Read(4, 0)
	require.Len(t, r.Kept, kept)
	require.Positive(t, r.Count)
	_, err = r.Histogram.MarshalText()
	require.NoError(t, err)
}

func memoryOf(t *testing.T, cpus int) []byte {
	memory := make([]byte, Size(cpus))
	_, err := NewSlab(memory, cpus)
	require.NoError(t, err)
	return memory
}

func withWord(memory []byte, word int, value uint64) []byte {
	for i := range 8 {
		memory[8*word+i] = byte(value >> (8 * i))
	}
	return memory
}

// namesOf are the names of a process's threads.
func namesOf(t *testing.T, pid int) (names []string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	require.NoError(t, err)
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		names = append(names, strings.TrimSpace(string(text)))
	}
	return names
}

type plainly struct{}

func (plainly) Start(c *exec.Cmd) error { return c.Start() }
func (plainly) Wait(c *exec.Cmd) error  { return c.Wait() }

// mayAnyPriority says whether this process has CAP_SYS_NICE, which root in a
// container may lack.
func mayAnyPriority(t *testing.T) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(status), "\nCapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	require.NoError(t, err)
	return set>>unix.CAP_SYS_NICE&1 == 1
}

// TestProbe: the process counts deadlines in the window that is open, on every
// CPU, and goes when it is told to; where the priority is not for this user, or
// the CPU not for this container, it says so for each CPU.
func TestProbe(t *testing.T) {
	var ours unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &ours))
	cpus := min(runtime.NumCPU(), 2)
	p, err := Start("/proc/self/exe", cpus, plainly{})
	require.NoError(t, err)
	defer p.Stop()
	began := time.Now()
	soon := func(ok func() bool) {
		t.Helper()
		require.Eventually(t, ok, 60*time.Second, time.Millisecond)
	}
	soon(func() bool {
		for cpu := range cpus {
			if p.Armed(cpu) < 0 && p.Error(cpu) == 0 {
				return false
			}
		}
		return true
	})
	for cpu := range cpus {
		switch n := unix.Errno(p.Error(cpu)); {
		case n == 0:
		case !ours.IsSet(cpu):
			require.Equal(t, unix.EINVAL, n, "CPU %d", cpu)
			return
		default:
			require.Equal(t, unix.EPERM, n, "CPU %d", cpu)
			require.False(t, mayAnyPriority(t), "it may have any priority")
			return
		}
		require.Zero(t, p.Read(0, cpu).Count, "no window is open")
	}
	require.Contains(t, namesOf(t, p.PID()), threadName)
	for window := range 2 {
		p.SetWindow(window)
		for cpu := range cpus {
			soon(func() bool { return p.Read(window, cpu).Count >= 20 })
		}
	}
	p.SetWindow(none)
	for cpu := range cpus {
		soon(func() bool { return p.Armed(cpu) == none })
		r := p.Read(0, cpu)
		require.Equal(t, r, p.Read(0, cpu), "a window that is closed")
		require.LessOrEqual(t, r.Count, int64(time.Since(began)/Period)+1)
		require.Positive(t, r.LongestNS)
	}
	require.Positive(t, p.CostNS())
	p.Stop()
	require.NoError(t, unix.Kill(os.Getpid(), 0))
	require.ErrorIs(t, unix.Kill(p.PID(), 0), unix.ESRCH)
}

// unending starts what never ends, as a task that is stuck in the kernel does.
type unending struct {
	plainly
	ended chan struct{}
}

func (u unending) Wait(c *exec.Cmd) error { <-u.ended; return c.Wait() }

// TestStuckProbe: a probe that cannot be ended is not waited for for good.
func TestStuckProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := unending{ended: make(chan struct{})}
		p, err := Start("/bin/true", 1, u)
		require.NoError(t, err)
		defer func() { close(u.ended); <-p.Ended() }()
		began := time.Now()
		p.Stop()
		require.LessOrEqual(t, time.Since(began), stopPatience)
	})
}

// TestStride: single interruptions change nothing; a machine that is late all the
// time is asked less and less, down to a thirty-second, and one that has
// recovered each time again.
func TestStride(t *testing.T) {
	s := stride{periods: 1}
	for range 100 {
		require.EqualValues(t, 1, s.after(200))
		for range 200 {
			require.EqualValues(t, 1, s.after(0))
		}
	}
	for range 2000 {
		s.after(3)
	}
	require.EqualValues(t, mostStride, s.periods)
	for range 2000 {
		s.after(0)
	}
	require.EqualValues(t, 1, s.periods)
	rapid.Check(t, func(t *rapid.T) {
		s := stride{periods: 1}
		for _, missed := range rapid.SliceOf(rapid.Int64Range(0, 1e6)).Draw(t, "missed") {
			before := s.periods
			after := s.after(missed)
			require.True(t, after == before || after == 2*before || after == before/2)
			require.True(t, 1 <= after && after <= mostStride)
			require.True(t, 0 <= s.debt && s.debt < overload)
		}
	})
}
