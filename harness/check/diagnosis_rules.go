// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// blockerRules are what is known of tasks in the way, by classes of bugs that
// were reported (docs/diagnoses.md). Special ones stand before general ones.
var blockerRules = []blockerRule{
	{"no-reliable-stacks", 16,
		func(s suspect) bool {
			return s.knownLack(kernels.ReliableStacks) && s.Kind != observe.IdleTask && s.Reason != observe.Running
		},
		func(g group) string {
			return g.say("%s cannot be switched by a look at %s stack: this kernel has no reliable stack traces. "+
				"Only a task that leaves the kernel switches there, and a kthread never does. Use a kernel with CONFIG_HAVE_RELIABLE_STACKTRACE",
				g.subject(), g.its())
		}},
	{"idle-asleep", 9,
		func(s suspect) bool { return s.Kind == observe.IdleTask && s.Reason == observe.Asleep },
		func(g group) string {
			return g.say("%s %s in %s(), which is patched, while something else has the CPU: it switches when the CPU idles again, and as long as that is busy it never does. "+
				"Let the CPU rest for a moment, or patch a function in which the idle loop does not give the CPU away",
				g.subject(), g.verb("sleeps", "sleep"), g.Function)
		}},
	{"idle", 9,
		func(s suspect) bool { return s.Kind == observe.IdleTask },
		func(g group) string {
			return g.say("%s %s not switched: the CPU idles and does not pass the idle loop's switch point. "+
				"Any wake-up there frees it; kernels whose core does not wake idle CPUs itself wait for the next interrupt", g.subject(), g.verb("is", "are"))
		}},
	{"vcpu", 7,
		func(s suspect) bool { return s.Kind == observe.UserTask && isVCPU(s.Blocker) },
		func(g group) string {
			return g.say("%s %s a KVM guest's CPU: it stays in the kernel's run loop for as long as that guest computes, and leaves only for a signal. "+
				"Wait for the core's signal (15th round), or signal it", g.subject(), g.verb("runs", "run"))
		}},
	{"nohz-full", 8,
		func(s suspect) bool { return s.Kind == observe.UserTask && s.Reason == observe.Running && s.NoHZFull },
		func(g group) string {
			return g.say("%s %s on CPU %d, which has no tick (nohz_full): without an interrupt it never enters the kernel, where it would switch. "+
				"Let it make a system call, or signal it", g.subject(), g.verb("runs", "run"), g.CPU)
		}},
	{"bpf-frame", 11,
		func(s suspect) bool { return s.unreliableOrElse() && hasFrame(s.Stack, isBPF) != "" },
		func(g group) string {
			return g.say("%s %s a stack that is unreliable in each round because of the BPF program in it, at %s. "+
				"Detach the program (fentry, fexit), or wake the task so that it leaves it", g.subject(), g.verb("has", "have"), hasFrame(g.Stack, isBPF))
		}},
	{"return-hook", 12,
		func(s suspect) bool { return s.unreliableOrElse() && returnHook(s.Stack) != "" },
		func(g group) string {
			return g.say("%s %s a stack that is unreliable because a return address in it was replaced, at %s, by a kretprobe or the function graph tracer. "+
				"Remove the probe or the tracer, or wake the task so that it returns through it", g.subject(), g.verb("has", "have"), returnHook(g.Stack))
		}},
	{"exception", 14,
		func(s suspect) bool {
			return exceptionAt(s.Stack) >= 0 && (s.Patched || s.Reason == observe.Unreliable || s.Reason == observe.Waiting && s.has(kernels.FramePointer))
		},
		func(g group) string {
			in := ""
			if g.Patched {
				in = " that it met inside " + g.Function + "(), which is patched"
			}
			return g.say("%s %s in an exception of the kernel (%s)%s: the transition waits until that is handled, as for a page that does not come. "+
				"Look at who has to bring the page", g.subject(), g.verb("sleeps", "sleep"), frameName(g.Stack[exceptionAt(g.Stack)]), in)
		}},
	{"kthread-loop", 1,
		func(s suspect) bool {
			return s.Kind == observe.KThread && s.Reason == observe.Asleep && mainFunction(s.Stack) == s.Function
		},
		func(g group) string {
			return g.say("%s %s in %s(), the patched function itself: it will never leave. Patch a function it calls, or wake it",
				g.subject(), g.verb("sleeps", "sleep"), g.Function)
		}},
	{"kthread-asleep", 1,
		func(s suspect) bool { return s.Kind == observe.KThread && s.Reason == observe.Asleep },
		func(g group) string {
			caller := ""
			if main := mainFunction(g.Stack); main != "" {
				caller = " that " + main + "() calls"
			}
			return g.say("%s %s in %s(), a patched function%s: the core's signal only wakes a kthread, and it may go back to sleep there. "+
				"Wake it so that it returns from %[3]s(), or patch a function that does not sleep", g.subject(), g.verb("sleeps", "sleep"), g.Function, caller)
		}},
	{"kworker-inside", 2,
		func(s suspect) bool { return s.Kind == observe.KWorker && s.Reason == observe.Asleep },
		func(g group) string {
			item := "a work item"
			if g.Work != "" {
				item = "the work item " + g.Work + "()"
			}
			return g.say("%s %s %s and %s inside %s(), which is patched: signals do nothing to a kworker. "+
				"Let the item end (flush or cancel it), or patch a function it calls between its sleeps",
				g.subject(), g.verb("carries out", "carry out"), item, g.verb("sleeps", "sleep"), g.Function)
		}},
	{"kworker-runs", 2,
		func(s suspect) bool { return s.Kind == observe.KWorker && s.Reason == observe.Running },
		func(g group) string {
			item := "which work item it is in cannot be told, for no stack can be read while it runs"
			if queue := workqueue(g.Comm); queue != "" {
				item += " (its workqueue is " + queue + ")"
			}
			if g.Work != "" {
				item = "its work item is " + g.Work + "()"
			}
			return g.say("%s %s on CPU %d when it is looked at; %s. Signals do nothing to a kworker: let the item end, or let it sleep",
				g.subject(), g.verb("runs", "run"), g.CPU, item)
		}},
	{"io-worker", 15,
		func(s suspect) bool { return s.Kind == observe.IOWorker && s.Reason != observe.Running },
		func(g group) string {
			in := g.Function
			if g.Patched {
				in += "(), which is patched"
			} else {
				in += "()"
			}
			return g.say("%s, of io_uring, %s for an operation in %s: it leaves the kernel when that ends and else only when signalled; "+
				"where the core's signal does not reach io workers, it never does. End or cancel the operation", g.subject(), g.verb("waits", "wait"), in)
		}},
	{"uninterruptible", 3,
		func(s suspect) bool { return s.Reason == observe.Asleep && s.State == "D" },
		func(g group) string {
			return g.say("%s %s uninterruptibly in %s(), which is patched: no signal reaches it there. "+
				"The transition ends when what it waits for has come%s", g.subject(), g.verb("sleeps", "sleep"), g.Function, g.wchan())
		}},
	{"signal-frees", 4,
		func(s suspect) bool { return s.Reason == observe.Asleep && len(s.phase.Signals) == 0 },
		func(g group) string {
			return g.say("%s %s in %s(), which is patched. A signal ends that sleep: the core sends one in its 15th round, some 15 s after the begin. "+
				"Wait for that, or signal it", g.subject(), g.verb("sleeps", "sleep"), g.Function)
		}},
	{"signal-ignored", 4,
		func(s suspect) bool { return s.Reason == observe.Asleep },
		func(g group) string {
			return g.say("%s %s in %s(), which is patched, although the core has signalled: it goes back to sleep there without looking for signals. "+
				"Wake it so that it returns, or patch a function that does not sleep", g.subject(), g.verb("sleeps", "sleep"), g.Function)
		}},
	{"vhost", 6,
		func(s suspect) bool {
			return s.Reason == observe.Running && (strings.HasPrefix(s.Comm, "vhost-") || s.Kind == observe.KThread && len(s.Stack) > 0 && !s.preempted())
		},
		func(g group) string {
			return g.say("%s always %s work%s: it gives up the CPU, by schedule() or cond_resched(), and never sleeps, so the core meets it running, round after round. "+
				"Let it sleep for a moment by stopping what gives it work; %s", g.subject(), g.verb("has", "have"), g.often(), g.resched())
		}},
	{"kthread-runs", 5,
		func(s suspect) bool { return s.Kind == observe.KThread && s.Reason == observe.Running },
		func(g group) string {
			return g.say("%s %s on CPU %d%s: the core cannot check the stack of a task that runs, and a kthread has no exit from the kernel to switch at. "+
				"Let it sleep now and then; %s", g.subject(), g.verb("runs", "run"), g.CPU, g.often(), g.resched())
		}},
	{"unreliable", 0,
		func(s suspect) bool { return s.Reason == observe.Unreliable },
		func(g group) string {
			at := ""
			if g.Frame != "" {
				at = " at " + g.Frame
			}
			return g.say("%s %s a stack that the kernel's unwinder does not trust%s, so the core lets it wait. "+
				"It switches when it leaves the kernel; a kthread has to be woken", g.subject(), g.verb("has", "have"), at)
		}},
	{"user-runs", 0,
		func(s suspect) bool { return s.Reason == observe.Running },
		func(g group) string {
			return g.say("%s %s on CPU %d or waits for it, and has not left the kernel since the transition began: "+
				"it switches when it does", g.subject(), g.verb("runs", "run"), g.CPU)
		}},
	{"silent", 0,
		func(s suspect) bool {
			return s.Reason == observe.Waiting && len(s.Stack) == 0 && slices.Equal(s.Witnesses, []string{observe.ByMemory})
		},
		func(g group) string {
			return g.say("%s had not switched and slept (state %s) when the guest fell silent; its memory does not tell where", g.subject(), g.State)
		}},
	{"elsewhere", 0,
		func(s suspect) bool { return s.Reason == observe.Waiting },
		func(g group) string {
			return g.say("%s %s in %s(), and /proc shows no patched function on %s stack: the core will switch it at its next round, "+
				"unless it finds the stack unreliable", g.subject(), g.verb("sleeps", "sleep"), g.Function, g.its())
		}},
}

// phaseRule explains a transition as a whole; "" if it does not hold.
type phaseRule struct {
	name  string
	class int
	text  func(*observe.Phase, []observe.Blocker, Setting) string
}

var phaseRules = []phaseRule{
	{"idle-unseen", 9, func(p *observe.Phase, blockers []observe.Blocker, _ Setting) string {
		n := len(p.Samples)
		if p.Done() || n == 0 || p.Samples[n-1].Sample.Left+p.Samples[n-1].Sample.Unknown > 0 || len(blockers) > 0 {
			return ""
		}
		return "every task that /proc shows is switched: what is left are idle tasks (swapper/N), which have no folder there, or the core's own clean-up. " +
			"An idle CPU switches when anything wakes it"
	}},
	{"first-round", 10, func(p *observe.Phase, _ []observe.Blocker, _ Setting) string {
		if !p.Done() || p.Reversed || p.Rounds == nil || *p.Rounds < 2 || len(p.Signals) > 0 {
			return ""
		}
		return fmt.Sprintf("the first round did not switch all tasks%s, and the core tries again only after about a second: %s was there after %d rounds. "+
			"This is how it works, also on an idle machine", lateTasks(p), p.To, *p.Rounds)
	}},
	{"slow-look", 17, func(p *observe.Phase, _ []observe.Blocker, _ Setting) string {
		if p.Unseen {
			return "the transition began and ended between two looks: how it went was not seen"
		}
		if gap := longestGap(p); !p.Done() && gap >= aRound {
			return fmt.Sprintf("the looks at the transition were up to %.1f s apart, longer than one round of the core: "+
				"it may have ended while nobody looked. Give the guest more CPU time, or wait longer before it counts as stalled", float64(gap)/1e9)
		}
		return ""
	}},
	{"half-way", 19, func(p *observe.Phase, _ []observe.Blocker, s Setting) string {
		if p.Done() || len(s.Broken) == 0 {
			return ""
		}
		return fmt.Sprintf("while the transition is under way something does not work: %s. "+
			"What the patch switches off when it begins (a pre_patch callback) is off until it has ended: do that in post_patch", strings.Join(s.Broken, "; "))
	}},
}
