// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// aRound is the shortest time in ns between two rounds of the core:
// round_jiffies_relative(HZ) is 0.75 to 1.75 s.
const aRound = int64(750e6)

// mostNames is how many tasks a sentence names.
const mostNames = 3

func (g group) say(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// subject is "kthread foo/3" or "500 user tasks (cat/97, cat/98, cat/99 and 497 more)".
func (g group) subject() string {
	if len(g.all) == 1 {
		return g.Kind + " " + taskName(g.Blocker)
	}
	var names []string
	for _, s := range g.all[:min(len(g.all), mostNames)] {
		names = append(names, taskName(s.Blocker))
	}
	text := strings.Join(names, ", ")
	if n := len(g.all) - len(names); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%d %ss (%s)", len(g.all), g.Kind, text)
}

// taskName is "foo/3"; of an idle task "swapper/1", which has no number of its own.
func taskName(b observe.Blocker) string {
	if b.Kind == observe.IdleTask {
		return b.Comm
	}
	return fmt.Sprintf("%s/%d", b.Comm, b.TID)
}

func (g group) verb(one, many string) string {
	if len(g.all) == 1 {
		return one
	}
	return many
}

func (g group) its() string { return g.verb("its", "their") }

func (g group) wchan() string {
	if g.Wchan == "" || g.Wchan == g.Function {
		return ""
	}
	return " (it waits in " + g.Wchan + "())"
}

// often is how often it ran when it was examined; "" where that was once.
func (g group) often() string {
	if g.looks < 2 {
		return ""
	}
	return fmt.Sprintf(" (in %d of %d looks)", g.running, g.looks)
}

// resched is what this kernel makes of a kthread that only calls cond_resched().
func (g group) resched() string {
	switch {
	case g.Can == nil:
		return "whether cond_resched() is enough depends on the kernel"
	case g.Can(kernels.CondReschedSwitching):
		return "on this kernel to call cond_resched() is enough"
	case g.Can(kernels.ScheduleSwitching):
		return "on this kernel cond_resched() is not enough, schedule() is if the kthread may be frozen (set_freezable())"
	}
	return "on this kernel cond_resched() is not enough"
}

// unreliableOrElse: the core finds its stack unreliable, or nobody knows why
// it was not switched.
func (s suspect) unreliableOrElse() bool {
	return s.Reason == observe.Unreliable || s.Reason == observe.Waiting
}

// preempted says whether the stack is that of a task from which an interrupt took
// the CPU. (The scheduler's own functions are not in /proc/PID/stack.)
func (s suspect) preempted() bool {
	return slices.ContainsFunc(s.Stack, func(frame string) bool {
		name := frameName(frame)
		return strings.HasPrefix(name, "asm_sysvec_") || strings.HasPrefix(name, "irqentry_exit") || name == "asm_common_interrupt"
	})
}

func frameName(frame string) string {
	name, _, _ := strings.Cut(frame, "+")
	return name
}

// hasFrame is the name of the innermost frame that is one of a kind, "" if none is.
func hasFrame(stack []string, is func(name string) bool) string {
	for _, f := range stack {
		if name := frameName(f); is(name) {
			return name
		}
	}
	return ""
}

func isBPF(name string) bool {
	return strings.HasPrefix(name, "bpf_trampoline_") || strings.HasPrefix(name, "bpf_prog_") || strings.HasPrefix(name, "__bpf_prog_enter")
}

// returnHook is what stands on a stack in the place of a return address that a
// tracer took: the name of its trampoline or, since the kernel looks up the byte
// before a return address and nothing calls from before a trampoline's first
// one, the end of whatever function lies there ("elfcorehdr_read+0x40/0x40" on
// 5.10). "" if nothing shows.
func returnHook(stack []string) string {
	for i, f := range stack {
		switch name := frameName(f); {
		case slices.Contains([]string{"kretprobe_trampoline", "__kretprobe_trampoline", "arch_rethook_trampoline", "return_to_handler"}, name):
			return name
		case i > 0 && pastEnd(f):
			return "the code behind " + name + "()"
		}
	}
	return ""
}

// pastEnd says whether a frame, "name+0xoff/0xsize [module]", is the first byte
// behind a function.
func pastEnd(frame string) bool {
	_, place, _ := strings.Cut(frame, "+")
	place, _, _ = strings.Cut(place, " ")
	offset, size, ok := strings.Cut(place, "/")
	return ok && offset == size
}

// exceptionAt is the index of the entry of an exception that the kernel itself
// met, -1 if there is none: the outermost frame is where a program entered.
func exceptionAt(stack []string) int {
	for i, f := range stack {
		if name := frameName(f); i < len(stack)-1 && (strings.HasPrefix(name, "asm_exc_") || name == "page_fault") {
			return i
		}
	}
	return -1
}

// mainFunction is the function that a kthread was made with: kthread() calls
// it. "" where the stack does not tell.
func mainFunction(stack []string) string {
	for i, f := range stack {
		if i > 0 && frameName(f) == "kthread" {
			return frameName(stack[i-1])
		}
	}
	return ""
}

// vCPUThread is what QEMU calls the threads of its CPUs.
var vCPUThread = regexp.MustCompile(`^CPU \d+/KVM$`)

func isVCPU(b observe.Blocker) bool {
	return b.VCPU || vCPUThread.MatchString(b.Comm) || hasFrame(b.Stack, func(name string) bool {
		return name == "kvm_arch_vcpu_ioctl_run" || name == "vcpu_enter_guest"
	}) != ""
}

// workqueue is the queue whose item a kworker is in, as /proc puts it behind
// its name ("kworker/0:1+events"); "" if it does not.
func workqueue(comm string) string {
	_, queue, _ := strings.Cut(comm, "+")
	return queue
}

// longestGap is the longest time between two looks, in ns.
func longestGap(p *observe.Phase) (gap int64) {
	for i := 1; i < len(p.Samples); i++ {
		gap = max(gap, p.Samples[i].T-p.Samples[i-1].T)
	}
	return gap
}

// lateTasks are those that switched after the first look, in parentheses.
func lateTasks(p *observe.Phase) string {
	var names []string
	for _, e := range p.Tasks {
		if len(names) == mostNames {
			names = append(names, fmt.Sprintf("%d more", len(p.Tasks)-mostNames))
			break
		}
		names = append(names, fmt.Sprintf("%s/%d", e.Task.Comm, e.Task.TID))
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// BrokenLoads says of the loads that failed while p was under way, and not
// before, each in a sentence.
func BrokenLoads(t observe.Timeline, p *observe.Phase) (broken []string) {
	if p == nil {
		return nil
	}
	before, during := map[int]uint64{}, map[int]*observe.Load{}
	for _, e := range t {
		switch {
		case e.Load == nil || e.Clock != observe.Guest:
		case e.T <= p.Start:
			before[e.Load.ID] = e.Load.Errors
		case !p.Done() || e.T <= p.End:
			if during[e.Load.ID] == nil || e.Load.Errors > during[e.Load.ID].Errors {
				during[e.Load.ID] = e.Load
			}
		}
	}
	for _, e := range t { // in order: a map has none
		if e.Load == nil || during[e.Load.ID] == nil {
			continue
		}
		l := during[e.Load.ID]
		if delete(during, l.ID); l.Errors > before[l.ID] && before[l.ID] == 0 {
			broken = append(broken, fmt.Sprintf("load %s failed %d times, first with %q", l.Name, l.Errors, l.FirstError))
		}
	}
	return broken
}
