// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// maxBlockers bounds an examination: reading a stack unwinds it.
const maxBlockers = 1024

// maxStacks bounds the stacks of one examination in bytes: all of it is one
// message to the host, of at most 1 MiB. Tasks beyond are told without theirs.
const maxStacks = 384 << 10

// Examination is a look at the tasks that have not switched in the transition
// that runs now. The zero value is good.
type Examination struct {
	Proc, Sys string // the roots of the two file systems; "" for /proc, /sys
	// Functions are the patched functions, by name.
	Functions []string
	// Core asks the kernel's livepatch core too, for one round of its messages:
	// a second or two. Only for a transition that has stalled.
	Core bool
	// Tasks are the folders of those to look at; nil for all of /proc.
	Tasks []string
	Most  int // how many are examined; 0 for 1024
	// For bounds the times of the walk over /proc and of the examination, each;
	// 0 for a minute, which thousands of tasks can take in an emulated guest.
	For time.Duration
}

func (x *Examination) defaults() {
	if x.Proc == "" {
		x.Proc = "/proc"
	}
	if x.Sys == "" {
		x.Sys = "/sys"
	}
	if x.Most <= 0 || x.Most > maxBlockers {
		x.Most = maxBlockers
	}
	if x.For <= 0 {
		x.For = time.Minute
	}
}

// Blockers are the tasks in the way; none when no transition runs.
//
// Not every task here is one to worry about: one that sleeps elsewhere
// (observe.Waiting) may only wait for the core's next round.
func (x Examination) Blockers(ctx context.Context) []observe.Blocker {
	x.defaults()
	name, target, ok := transition(x.Sys)
	if !ok {
		return nil
	}
	left := x.left(ctx, target)
	first := x.examine(ctx, left, name, target)
	if !x.Core || len(left) > mostForCore || slices.ContainsFunc(first, undisturbed) {
		return first
	}
	heard := theCore.listen(ctx, x.Proc, x.Sys)
	// Who is left after the core's round is who it could not switch.
	if name, target, ok := transition(x.Sys); ok {
		if left := heard.merge(x.examine(ctx, left, name, target)); len(left) > 0 {
			return left
		}
	}
	return first // it had waited for them, until we asked
}

// undisturbed says whether a task computes where nothing interrupts it. To
// switch the core's messages on does: it changes the kernel's text, for which
// every CPU is interrupted, and the task would no longer be in the way.
func undisturbed(b observe.Blocker) bool { return b.NoHZFull && b.Reason == observe.Running }

// left are the folders of those that have not switched.
func (x Examination) left(ctx context.Context, target int) (dirs []string) {
	buf := make([]byte, 64)
	until := now() + int64(x.For)
	// look says whether there is time for another.
	look := func(dir string) bool {
		if isLeft(dir, target, buf) {
			dirs = append(dirs, dir)
		}
		return ctx.Err() == nil && now() <= until
	}
	if x.Tasks == nil {
		eachThread(x.Proc, look)
		return dirs
	}
	for _, dir := range x.Tasks {
		if !look(dir) {
			break
		}
	}
	return dirs
}

// eachThread calls do with the folder of each thread below proc until it says
// no. Plain reads of folders: to look for names by patterns costs three times
// as much.
func eachThread(proc string, do func(dir string) bool) {
	all, err := openFolder(proc)
	if err != nil {
		return
	}
	defer all.close()
	var pids, tids []string
	for more := true; more; {
		pids, more = all.next(pids[:0])
		for _, pid := range pids {
			if _, err := strconv.Atoi(pid); err != nil {
				continue
			}
			threads, err := openFolder(proc + "/" + pid + "/task")
			if err != nil {
				continue // ended
			}
			tids = tids[:0]
			for rest := true; rest; {
				tids, rest = threads.next(tids)
			}
			threads.close()
			for _, tid := range tids {
				if _, err := strconv.Atoi(tid); err == nil && !do(proc+"/"+pid+"/task/"+tid) {
					return
				}
			}
		}
	}
}

func isLeft(dir string, target int, buf []byte) bool {
	b, err := readFile(dir+"/patch_state", buf)
	return err == nil && string(bytes.TrimSpace(b)) == strconv.Itoa(1-target)
}

func (x Examination) examine(ctx context.Context, dirs []string, patch string, target int) (out []observe.Blocker) {
	buf := make([]byte, 16<<10)
	tickless := cpuList(x.Sys+"/devices/system/cpu/nohz_full", buf)
	until := now() + int64(x.For)
	stacks := 0
	for _, dir := range dirs {
		if ctx.Err() != nil || len(out) == x.Most || now() > until {
			break
		}
		if !isLeft(dir, target, buf) {
			continue
		}
		if b, ok := examine(dir, patch, x.Functions, buf); ok {
			b.NoHZFull = tickless[b.CPU]
			for _, frame := range b.Stack {
				stacks += len(frame) + len(`"",`)
			}
			if stacks > maxStacks {
				b.Stack = nil
			}
			out = append(out, b)
		}
	}
	return out
}

// transition finds the patch in transition and the patch_state it leads to.
func transition(sys string) (name string, target int, ok bool) {
	entries, err := os.ReadDir(sys + "/kernel/livepatch")
	if err != nil {
		return "", 0, false
	}
	for _, e := range entries {
		dir := sys + "/kernel/livepatch/" + e.Name()
		if b, err := os.ReadFile(dir + "/transition"); err != nil || string(bytes.TrimSpace(b)) != "1" {
			continue
		}
		b, err := os.ReadFile(dir + "/enabled")
		if err != nil {
			continue
		}
		if string(bytes.TrimSpace(b)) == "1" {
			target = 1
		}
		return e.Name(), target, true
	}
	return "", 0, false
}

// examine reads what /proc has about one task, in dir (/proc/PID/task/TID).
func examine(dir, patch string, functions []string, buf []byte) (observe.Blocker, bool) {
	b, err := readFile(dir+"/stat", buf)
	if err != nil {
		return observe.Blocker{}, false
	}
	st, err := parseStat(b)
	if err != nil {
		return observe.Blocker{}, false
	}
	out := observe.Blocker{Comm: st.comm, State: st.state, CPU: st.cpu, Kind: kindOf(st), VCPU: st.guest, Witnesses: []string{observe.ByProc}}
	out.TID, _ = strconv.Atoi(filepath.Base(dir))
	out.PID, _ = strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(dir))))
	if b, err := readFile(dir+"/stack", buf); err == nil {
		out.Stack = parseStack(string(b))
	}
	if b, err := readFile(dir+"/wchan", buf); err == nil && string(b) != "0" {
		out.Wchan = string(b)
	}
	judge(&out, patch, functions)
	return out, true
}

func kindOf(st stat) string {
	switch {
	case st.flags&flagWQWorker != 0:
		return observe.KWorker
	case st.flags&flagIOWorker != 0:
		return observe.IOWorker
	case st.flags&flagKThread != 0:
		return observe.KThread
	}
	return observe.UserTask
}

// maxCPUs bounds what a list of CPUs is taken to name.
const maxCPUs = 8192

// cpuList reads a file such as "1-3,7"; empty if there is none.
func cpuList(path string, buf []byte) map[int]bool {
	b, err := readFile(path, buf)
	if err != nil {
		return nil
	}
	cpus := map[int]bool{}
	for _, part := range strings.Split(strings.TrimSpace(string(b)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		to := from
		if isRange && err == nil {
			to, err = strconv.Atoi(last)
		}
		if err != nil || from < 0 || to >= maxCPUs {
			continue // "(null)", of a kernel that has none
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus[cpu] = true
		}
	}
	return cpus
}
