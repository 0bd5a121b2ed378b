// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
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
	// For bounds the time of the look at /proc; 0 for 10 s.
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
		x.For = 10 * time.Second
	}
}

// Blockers are the tasks in the way; none when no transition runs.
//
// Not every task here is one to worry about: one that sleeps elsewhere
// (observe.Waiting) may only wait for the core's next round.
func (x Examination) Blockers(ctx context.Context) []observe.Blocker {
	x.defaults()
	_, target, ok := transition(x.Sys)
	if !ok {
		return nil
	}
	left := x.left(ctx, target)
	var heard coreWords
	if x.Core && len(left) <= mostForCore {
		heard = theCore.listen(ctx, x.Proc, x.Sys)
	}
	// Who is left after the core's round is who it could not switch.
	name, target, ok := transition(x.Sys)
	if !ok {
		return nil
	}
	out := x.examine(ctx, left, name, target)
	return heard.merge(out)
}

// left are the folders of those that have not switched.
func (x Examination) left(ctx context.Context, target int) (dirs []string) {
	candidates := x.Tasks
	if candidates == nil {
		files, err := filepath.Glob(x.Proc + "/[0-9]*/task/[0-9]*/patch_state")
		if err != nil {
			return nil
		}
		for _, f := range files {
			candidates = append(candidates, filepath.Dir(f))
		}
	}
	buf := make([]byte, 64)
	for _, dir := range candidates {
		if ctx.Err() != nil {
			break
		}
		if isLeft(dir, target, buf) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
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
	out := observe.Blocker{Comm: st.comm, State: st.state, CPU: st.cpu, Kind: kindOf(st), Witnesses: []string{observe.ByProc}}
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
