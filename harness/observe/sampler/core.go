// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// mostForCore is how many tasks may be left for the core to be asked. It
// prints a line for each under tasklist_lock, which for hundreds on a slow
// console is a cause of stalls and lockups itself.
const mostForCore = 100

// coreSites are the places that are switched on: those of klp_try_switch_task,
// in which all messages about a single task are printed (5.10 to 7.3;
// in 5.10 those of klp_check_stack come through a buffer and are printed there).
const coreSites = "file kernel/livepatch/transition.c func klp_try_switch_task"

const (
	// coreRound is longer than the time between two of the core's rounds, at
	// most 1.75 s (round_jiffies_relative(HZ)).
	coreRound = 2500 * time.Millisecond
	// coreQuiet without a message is a round's end: the next is at least 0.75 s
	// away.
	coreQuiet = 200 * time.Millisecond
)

// core is the livepatch core as a witness: its debug messages are one switch
// for the whole kernel, so one asks at a time.
type core struct{ mu sync.Mutex }

var theCore core

// coreWord is what the core said of one task.
type coreWord struct {
	comm     string
	tid      int
	reason   string
	function string // of a task asleep on it
}

// coreWords are one round's, in order.
type coreWords []coreWord

// listen switches the messages on, hears one round of them and switches them
// off again. Where they would reach a console it does not: none are heard then.
func (c *core) listen(ctx context.Context, proc, sys string) coreWords {
	c.mu.Lock()
	defer c.mu.Unlock()
	if consolePrintsDebug(proc, sys) {
		return nil
	}
	file, err := OpenKernelLog()
	if err != nil {
		return nil
	}
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return nil
	}
	if c.turn(proc, sys, "+p") != nil {
		return nil // a kernel without dynamic debug
	}
	defer c.turn(proc, sys, "-p")
	log := logRecords{conn}
	return hearRound(ctx, log, log.await)
}

// turn switches the messages on (+p) or off (-p).
func (c *core) turn(proc, sys, how string) error {
	var all error
	for _, control := range []string{proc + "/dynamic_debug/control", sys + "/kernel/debug/dynamic_debug/control"} {
		err := writeWhole(control, coreSites+" "+how+"\n")
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return all
}

func writeWhole(path, text string) error {
	fd, err := open(path, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if n, err := unix.Write(fd, []byte(text)); err != nil || n != len(text) {
		return fmt.Errorf("write %s: %d of %d bytes: %w", path, n, len(text), errors.Join(err, io.ErrShortWrite))
	}
	return nil
}

// consolePrintsDebug says whether messages of the debug level reach a console:
// they do above level 7 (the first number of /proc/sys/kernel/printk), and with
// ignore_loglevel.
func consolePrintsDebug(proc, sys string) bool {
	b, err := os.ReadFile(proc + "/sys/kernel/printk")
	if err != nil {
		return true // nobody knows
	}
	fields := strings.Fields(string(b))
	if len(fields) == 0 {
		return true
	}
	level, err := strconv.Atoi(fields[0])
	ignore, _ := os.ReadFile(sys + "/module/printk/parameters/ignore_loglevel")
	return err != nil || level > 7 || strings.TrimSpace(string(ignore)) == "Y"
}

// logRecords reads a log that was opened without blocking: a Read never waits, as
// an os.File's does, which gives the file to the runtime's poller until a record
// comes, be it in an hour.
type logRecords struct{ conn syscall.RawConn }

func (r logRecords) Read(buf []byte) (n int, err error) {
	closed := r.conn.Read(func(fd uintptr) (done bool) {
		n, err = unix.Read(int(fd), buf)
		return true
	})
	if n == 0 && closed == nil && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), errors.Join(closed, err)
}

// await waits for a record, for d of guest time at most; a signal ends it early.
func (r logRecords) await(d time.Duration) (ready bool) {
	_ = r.conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(d.Milliseconds()))
		ready = err == nil && n > 0
	})
	return ready
}

// hearRound reads the records of r until a round of messages has come and is
// over, or none came for as long as a round takes. ready waits for a record.
func hearRound(ctx context.Context, r io.Reader, ready func(time.Duration) bool) (words coreWords) {
	buf := make([]byte, 16<<10)
	until := now() + int64(coreRound)
	quiet := int64(0) // when the round is over, once it has begun
	for ctx.Err() == nil && len(words) <= 2*mostForCore {
		rest := until - now()
		if quiet != 0 {
			rest = quiet - now()
		}
		if rest <= 0 || !ready(min(time.Duration(rest), 100*time.Millisecond)) {
			if rest <= 0 {
				break
			}
			continue // ctx may have ended
		}
		n, err := r.Read(buf)
		if err != nil {
			if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue // overwritten; or none is there after all
			}
			break
		}
		rec, ok := parseRecord(buf[:n])
		if !ok || rec.Facility != 0 {
			continue
		}
		if w, ok := parseCore(rec.Text); ok {
			words = append(words, w)
			quiet = now() + int64(coreQuiet)
		}
	}
	return words
}

// parseCore reads a message of the core about a task:
//
//	livepatch: klp_try_switch_task: swapper/1:0 is running
//	livepatch: klp_check_stack: cat:97 is sleeping on function hold_park
//
// Up to 5.16 klp_check_stack is named for what it found, later
// klp_try_switch_task for all (kernel/livepatch/transition.c, 5.10 to 7.3).
func parseCore(text string) (w coreWord, ok bool) {
	rest, ok := strings.CutPrefix(text, "livepatch: ")
	if !ok {
		return w, false
	}
	for _, function := range []string{"klp_try_switch_task: ", "klp_check_stack: "} {
		if task, found := strings.CutPrefix(rest, function); found {
			return parseCoreTask(task)
		}
	}
	return w, false
}

func parseCoreTask(text string) (w coreWord, ok bool) {
	var task string
	switch {
	case strings.HasSuffix(text, " is running"):
		task, w.reason = strings.TrimSuffix(text, " is running"), observe.Running
	case strings.HasSuffix(text, " has an unreliable stack"):
		task, w.reason = strings.TrimSuffix(text, " has an unreliable stack"), observe.Unreliable
	default:
		task, w.function, ok = cutLast(text, " is sleeping on function ")
		if !ok || w.function == "" {
			return coreWord{}, false
		}
		w.reason = observe.Asleep
	}
	// A task's name may hold colons.
	comm, tid, ok := cutLast(task, ":")
	if !ok {
		return coreWord{}, false
	}
	n, err := strconv.Atoi(tid)
	if err != nil || n < 0 {
		return coreWord{}, false
	}
	w.comm, w.tid = comm, n
	return w, true
}
