// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what the QEMU process has used so far, or had when it ended: CPU
// time of all its threads, and the most memory resident at once, in bytes.
func (m *Machine) Usage() (cpu time.Duration, maxRSS int64) {
	select {
	case <-m.done:
		return m.cpu, m.rss
	default:
		return cpuTime(m.pid), peakRSS(m.pid)
	}
}

// settle takes the final account of a process that is gone. The kernel keeps
// one for the wrapper and what it waited for; the wrapper's own part was
// taken when QEMU ran.
func (m *Machine) settle() {
	if usage, ok := m.child.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.cpu = max(0, time.Duration(usage.Utime.Nano()+usage.Stime.Nano())-m.wrapper)
		m.rss = usage.Maxrss << 10
	}
	m.closeLogs()
}

// cpuTime is the CPU time of a process and all its threads, dead ones
// included; 0 if it is gone. The number of the clock is what
// clock_getcpuclockid(3) computes.
func cpuTime(pid int) time.Duration {
	if pid <= 0 {
		return 0
	}
	const processWide, scheduler = 0, 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|processWide|scheduler), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// peakRSS reads VmHWM; 0 if the process is gone.
func peakRSS(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("\nVmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10
}

// stderrTail passes QEMU's own words on to a file and keeps the last of them.
type stderrTail struct {
	mu   sync.Mutex
	file *evidenceFile // nil: nobody keeps it yet
	last []byte
}

const keptStderr = 8 << 10

func (t *stderrTail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - keptStderr; over > 0 {
		t.last = append([]byte{}, t.last[over:]...)
	}
	if t.file == nil {
		return len(p), nil
	}
	return t.file.Write(p)
}

// keepIn has everything written to f, what came before as well.
func (t *stderrTail) keepIn(f *evidenceFile) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.file = f
	_, _ = f.Write(t.last)
}

func (t *stderrTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}
