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

	"github.com/switchyard-project/switchyard/harness/observe"
)

// maxBlockers bounds an examination: reading a stack unwinds it.
const maxBlockers = 256

// Blockers examines the tasks that have not switched in the transition that
// runs now; none when there is none. functions are the patched ones, by name.
//
// Not every task here is one to worry about: one that sleeps elsewhere
// (observe.Waiting) may only wait for the core's next round.
func Blockers(ctx context.Context, proc, sys string, functions []string) []observe.Blocker {
	name, target, ok := transition(sys)
	if !ok {
		return nil
	}
	threads, err := filepath.Glob(proc + "/[0-9]*/task/[0-9]*/patch_state")
	if err != nil {
		return nil
	}
	var out []observe.Blocker
	buf := make([]byte, 16<<10)
	for _, file := range threads {
		if ctx.Err() != nil || len(out) == maxBlockers {
			break
		}
		b, err := readFile(file, buf)
		if err != nil || string(bytes.TrimSpace(b)) != strconv.Itoa(1-target) {
			continue
		}
		if blocker, ok := examine(filepath.Dir(file), name, functions, buf); ok {
			out = append(out, blocker)
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
	out := observe.Blocker{Comm: st.comm, State: st.state, CPU: st.cpu, Kind: kindOf(st)}
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

// judge finds the function and the reason.
func judge(b *observe.Blocker, patch string, functions []string) {
	for _, frame := range b.Stack {
		name, module := frameFunction(frame)
		// On the way back the replacements are in the way: any function of
		// the patch's own module.
		if module == patch || slices.Contains(functions, parent(name)) || slices.Contains(functions, name) {
			b.Function, b.Patched = name, true
			break
		}
	}
	if b.Function == "" && len(b.Stack) > 0 {
		b.Function, _ = frameFunction(b.Stack[0])
	}
	if b.Function == "" {
		b.Function = b.Wchan
	}
	switch {
	case b.State == "R":
		b.Reason = observe.Running
	case b.Patched:
		b.Reason = observe.Asleep
	default:
		b.Reason = observe.Waiting
	}
}

// maxFrames bounds a stack; the kernel's own bound is 64.
const maxFrames = 64

// parseStack reads /proc/PID/stack: "[<0>] name+0x1/0x2 [module]", innermost
// first.
func parseStack(text string) []string {
	var frames []string
	for line := range strings.Lines(text) {
		_, frame, ok := strings.Cut(strings.TrimSpace(line), "] ")
		if ok && len(frames) < maxFrames {
			frames = append(frames, frame)
		}
	}
	return frames
}

// frameFunction splits "name+0x1/0x2 [module]".
func frameFunction(frame string) (name, module string) {
	name, rest, _ := strings.Cut(frame, "+")
	if _, m, ok := strings.Cut(rest, " ["); ok {
		module, _, _ = strings.Cut(strings.TrimSuffix(m, "]"), " ") // newer kernels add a build id
	}
	return name, module
}

// parent is the function that a part made by the compiler belongs to:
// f.cold, f.constprop.0, f.isra.0, f.part.0.
func parent(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}
