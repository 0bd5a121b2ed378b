// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// judge finds the function, the work item and the reason.
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
	if b.Kind == observe.KWorker {
		b.Work = workOf(b.Stack)
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

// workOf is the function of the work item that a kworker is in: what
// process_one_work() called (kernel/workqueue.c, 5.10 to 7.x). "" between two
// items, and where there is no stack.
func workOf(stack []string) string {
	for i, frame := range stack {
		if name, _ := frameFunction(frame); i > 0 && parent(name) == "process_one_work" {
			work, _ := frameFunction(stack[i-1])
			return work
		}
	}
	return ""
}

// roots are the functions that a whole stack ends with, outermost: where a
// program or a new task enters the kernel (arch/x86/entry, 5.10 to 7.x).
var roots = []string{
	"entry_SYSCALL_64_after_hwframe", "entry_SYSCALL_64", "entry_SYSENTER_compat_after_hwframe", "entry_INT80_compat",
	"ret_from_fork", "ret_from_fork_asm", "do_syscall_64", "do_int80_emulation",
}

// hooks are what stands on a stack in the place of a return address that a
// probe or a tracer took, and the trampolines of BPF programs.
var hooks = []string{"kretprobe_trampoline", "__kretprobe_trampoline", "arch_rethook_trampoline", "return_to_handler"}

// untrusted is the frame at which an unreliable stack stops being trusted, as
// far as /proc shows it: that of a hook, a BPF program or an exception, one
// without a name, else the outermost if no stack ends so. "" if nothing shows.
func untrusted(stack []string) string {
	for i, frame := range stack {
		name, _ := frameFunction(frame)
		switch {
		case slices.Contains(hooks, name), strings.HasPrefix(name, "bpf_trampoline_"), strings.HasPrefix(name, "bpf_prog_"),
			strings.HasPrefix(name, "0x"), strings.HasPrefix(name, "asm_exc_") && i < len(stack)-1:
			return frame
		}
	}
	if n := len(stack); n > 0 {
		name, _ := frameFunction(stack[n-1])
		if !slices.Contains(roots, name) && !strings.HasPrefix(name, "asm_") {
			return stack[n-1]
		}
	}
	return ""
}
