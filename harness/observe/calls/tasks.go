// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// tasks tells what kind of task a thread id is.
type tasks struct {
	proc  string
	known map[int]taskKind
	// looked bounds the looks into /proc of one drain: under a storm of forks
	// those that are gone are many, and all user tasks.
	looked int
	// threads are kernel threads that were seen when they were made.
	threads map[int]bool
}

type taskKind struct{ context, comm string }

const (
	mostLooks = 256
	mostKnown = 16 << 10
)

// rest begins a new drain.
func (t *tasks) rest() {
	t.looked = 0
	if len(t.known) > mostKnown {
		t.known = map[int]taskKind{}
	}
}

func (t *tasks) of(tid int) taskKind {
	if tid == 0 {
		return taskKind{observe.InIdle, "swapper"}
	}
	if k, ok := t.known[tid]; ok {
		return k
	}
	k := taskKind{context: observe.InSystemCall}
	if t.looked < mostLooks {
		t.looked++
		if b, err := os.ReadFile(t.proc + "/" + strconv.Itoa(tid) + "/stat"); err == nil {
			k = parseTask(b)
		} else if t.threads[tid] {
			k.context = observe.InKThread
		}
		t.known[tid] = k
	}
	return k
}

// born takes in that a kernel thread was made. What had its id before is gone.
func (t *tasks) born(tid int) {
	if t.threads == nil || len(t.threads) > mostKnown {
		t.threads = map[int]bool{}
	}
	t.threads[tid] = true
	delete(t.known, tid)
}

// asleep says whether a thread is neither running nor waiting for a CPU; one
// that is gone is not.
func (t *tasks) asleep(tid int) bool {
	b, err := os.ReadFile(t.proc + "/" + strconv.Itoa(tid) + "/stat")
	if err != nil {
		return true
	}
	shut := bytes.LastIndexByte(b, ')')
	return shut < 0 || shut+2 >= len(b) || b[shut+2] != 'R'
}

// kernelThread is PF_KTHREAD of include/linux/sched.h.
const kernelThread = 0x00200000

// parseTask reads /proc/PID/stat: "pid (comm) state ppid pgrp session tty
// tpgid flags …"; comm may hold anything.
func parseTask(stat []byte) taskKind {
	k := taskKind{context: observe.InSystemCall}
	open, shut := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || shut < open {
		return k
	}
	k.comm = strings.ToValidUTF8(string(stat[open+1:shut]), "\ufffd")
	f := bytes.Fields(stat[shut+1:])
	if len(f) < 7 {
		return k
	}
	flags, _ := strconv.ParseUint(string(f[6]), 10, 64)
	switch {
	case flags&kernelThread == 0:
	case strings.HasPrefix(k.comm, "kworker/"):
		k.context = observe.InKWorker
	default:
		k.context = observe.InKThread
	}
	return k
}
