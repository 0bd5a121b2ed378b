// SPDX-License-Identifier: Apache-2.0

package lateness

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ProcessName is argv[0] of the probe's process: main must call Main when it
// finds it there.
const ProcessName = "switchyard-probe"

// threadName is the name of the probe's threads; 15 bytes are kept.
const threadName = "switchyard-prob"

// Environment is that of the probe's process: nothing but the loops may decide
// when a thread gives up its CPU.
var Environment = []string{"GODEBUG=asyncpreemptoff=1"}

// probePriority is above that of the agent's threads (1), and of anything else
// but the kernel's own migration and watchdog threads.
const probePriority = 2

// Main is the probe's process, with the slab in descriptor 3: a thread of a
// real-time priority for each CPU, to which it is pinned. It ends when it is
// killed.
//
// Apart from the agent, because two threads of one Go process with different
// real-time priorities wait for each other by sched_yield, which on one CPU is
// for ever. A loop here never enters Go's scheduler: it makes raw system calls,
// calls only what checks no stack (where a goroutine could be told to yield),
// allocates nothing, and nobody collects garbage.
func Main() int {
	debug.SetGCPercent(-1)
	slab, err := openShared(3)
	if err != nil {
		return 1
	}
	runtime.GOMAXPROCS(slab.cpus + 2)
	var all sync.WaitGroup
	for cpu := range slab.cpus {
		all.Go(func() {
			runtime.LockOSThread()
			err := settle(cpu)
			if err == 0 {
				err = probe(slab, cpu)
			}
			atomic.StoreUint64(&slab.words[headWords+cpu*cpuWords+cpuError], uint64(err))
		})
	}
	all.Wait() // for ever, unless all have failed
	return 1
}

// openShared maps the slab that the agent has made.
func openShared(fd int) (*Slab, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	// All pages at once: a fault in a loop would be late by itself.
	memory, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	_ = unix.Close(fd)
	return OpenSlab(memory)
}

// settle makes the calling thread the one that runs first on a CPU.
func settle(cpu int) unix.Errno {
	_ = os.WriteFile("/proc/thread-self/comm", []byte(threadName), 0) // which a list of blockers shows
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return errno(err)
	}
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: probePriority}
	return errno(unix.SchedSetAttr(0, &attr, 0))
}

func errno(err error) unix.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(unix.Errno); ok {
		return e
	}
	return unix.EIO
}

// probe waits for each deadline and counts how late it woke, until a system
// call fails.
//
//go:nosplit
func probe(slab *Slab, cpu int) unix.Errno {
	mine := headWords + cpu*cpuWords
	period := int64(slab.words[headPeriod])
	pace := stride{periods: 1}
	var ts unix.Timespec
	if _, _, err := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ts)), 0); err != 0 {
		return err
	}
	// At whole periods, on all CPUs and for the timer of the second witness:
	// the hardware interrupts once for all, which halves what this costs an
	// emulated guest.
	deadline := ((ts.Sec*1e9+ts.Nsec)/period + 2) * period
	for {
		// To which window it counts is settled before it comes: an interruption
		// is of the window in which it began.
		window := atomic.LoadUint64(&slab.words[headWindow])
		if window > none {
			window = none
		}
		slab.words[mine+cpuDeadline] = uint64(deadline)
		atomic.StoreUint64(&slab.words[mine+cpuArmed], window+1)
		for now := int64(0); now < deadline; now = ts.Sec*1e9 + ts.Nsec {
			ts.Sec, ts.Nsec = deadline/1e9, deadline%1e9
			_, _, err := syscall.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
			if err != 0 && err != unix.EINTR {
				return err
			}
			if _, _, err := syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ts)), 0); err != 0 {
				return err
			}
		}
		now := ts.Sec*1e9 + ts.Nsec
		if window == none {
			deadline = (now/period + 1) * period
			continue
		}
		next := record(slab.block(int(window), cpu), deadline, now, period)
		periods := pace.after((next-deadline)/period - 1)
		deadline = next + (periods-1)*period
	}
}
