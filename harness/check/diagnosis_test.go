// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// capable makes the question what a kernel with all of these can do.
func capable(all ...kernels.Capability) func(kernels.Capability) bool {
	all = append(all, kernels.ReliableStacks)
	return func(c kernels.Capability) bool { return slices.Contains(all, c) }
}

func stalledPhase() *observe.Phase {
	return &observe.Phase{Patch: "p", To: observe.Apply, Start: 1e9, Samples: observe.Timeline{
		{T: 2e9, Sample: &observe.Sample{Left: 1, Total: 9}}, {T: 2e9 + 5e6, Sample: &observe.Sample{Left: 1, Total: 9}},
	}}
}

// signalled is p after the core's signal.
func signalled(p *observe.Phase) *observe.Phase {
	p.Signals = []int64{17e9}
	return p
}

func stack(names ...string) (frames []string) {
	for _, n := range names {
		frames = append(frames, n+"+0x1/0x2")
	}
	return frames
}

// blocker is a base that a row changes.
func blocker(kind, reason, function string, frames ...string) observe.Blocker {
	return observe.Blocker{Comm: "foo", TID: 3, Kind: kind, Reason: reason, Function: function, Patched: reason == observe.Asleep, State: "S", Stack: stack(frames...)}
}

func with(b observe.Blocker, change func(*observe.Blocker)) observe.Blocker {
	change(&b)
	return b
}

// TestBlockerRules walks the table: of each rule a task that it is about, with
// the words that matter, and one that is nearly so and gets another.
func TestBlockerRules(t *testing.T) {
	type row struct {
		rule     string
		fires    observe.Blocker
		says     []string
		nearMiss observe.Blocker
		instead  string // the rule that speaks then
		phase    *observe.Phase
		setting  Setting
		missed   *Setting // of the near miss, if it is there that it differs
	}
	loop := blocker(observe.KThread, observe.Asleep, "bar_loop", "schedule_timeout", "bar_loop", "kthread", "ret_from_fork")
	running := func(kind string) observe.Blocker {
		return with(blocker(kind, observe.Running, ""), func(b *observe.Blocker) { b.State = "R"; b.CPU = 1 })
	}
	parked := blocker(observe.UserTask, observe.Asleep, "hold", "schedule", "hold", "full_proxy_read", "entry_SYSCALL_64_after_hwframe")
	bpf := blocker(observe.UserTask, observe.Unreliable, "nap", "nap", "bpf_trampoline_6442", "do_syscall_64")
	fault := blocker(observe.UserTask, observe.Asleep, "copy", "handle_userfault", "exc_page_fault", "asm_exc_page_fault", "copy", "do_syscall_64")
	fpFault := blocker(observe.UserTask, observe.Waiting, "handle_userfault", "handle_userfault", "asm_exc_page_fault", "rep_movs", "do_syscall_64")
	tested := map[string]bool{}
	for _, r := range []row{
		{rule: "no-reliable-stacks", fires: blocker(observe.KThread, observe.Waiting, "nap", "nap"), setting: Setting{Can: func(kernels.Capability) bool { return false }},
			says:     []string{"kthread foo/3", "no reliable stack traces", "a kthread never does"},
			nearMiss: blocker(observe.KThread, observe.Waiting, "nap", "nap"), missed: &Setting{}, instead: "elsewhere"},
		{rule: "idle-asleep", fires: observe.Blocker{Comm: "swapper/1", Kind: observe.IdleTask, Reason: observe.Asleep, Function: "do_idle", CPU: 1},
			says:     []string{"idle task swapper/1 sleeps in do_idle(), which is patched", "Let the CPU rest"},
			nearMiss: observe.Blocker{Comm: "swapper/1", Kind: observe.IdleTask, Reason: observe.Running, CPU: 1}, instead: "idle"},
		{rule: "idle", fires: observe.Blocker{Comm: "swapper/1", Kind: observe.IdleTask, Reason: observe.Running, CPU: 1},
			says: []string{"idle task swapper/1 is not switched"}, nearMiss: running(observe.KThread), instead: "kthread-runs"},
		{rule: "vcpu", fires: with(running(observe.UserTask), func(b *observe.Blocker) { b.Comm = "CPU 0/KVM" }), says: []string{"KVM guest's CPU", "15th round"},
			nearMiss: with(running(observe.UserTask), func(b *observe.Blocker) { b.Comm = "CPU 0/KVMX" }), instead: "user-runs"},
		{rule: "vcpu", fires: with(running(observe.UserTask), func(b *observe.Blocker) { b.VCPU = true }), says: []string{"KVM guest's CPU"},
			nearMiss: running(observe.UserTask), instead: "user-runs"},
		{rule: "vcpu", fires: blocker(observe.UserTask, observe.Waiting, "x", "x", "kvm_arch_vcpu_ioctl_run", "kvm_vcpu_ioctl"), says: []string{"signal"},
			nearMiss: blocker(observe.UserTask, observe.Waiting, "x", "x", "kvm_vm_ioctl"), instead: "elsewhere"},
		{rule: "nohz-full", fires: with(running(observe.UserTask), func(b *observe.Blocker) { b.NoHZFull = true }), says: []string{"on CPU 1, which has no tick", "system call"},
			nearMiss: running(observe.UserTask), instead: "user-runs"},
		{rule: "bpf-frame", fires: bpf, says: []string{"BPF program", "bpf_trampoline_6442", "Detach"},
			nearMiss: with(bpf, func(b *observe.Blocker) { b.Stack = stack("nap", "bpf_map_lookup", "do_syscall_64") }), instead: "unreliable"},
		{rule: "return-hook", fires: blocker(observe.KThread, observe.Unreliable, "nap", "nap", "arch_rethook_trampoline", "kthread"), says: []string{"kretprobe", "arch_rethook_trampoline"},
			nearMiss: blocker(observe.KThread, observe.Unreliable, "nap", "nap", "kthread"), instead: "unreliable"},
		{rule: "return-hook", fires: blocker(observe.UserTask, observe.Waiting, "nap", "nap", "return_to_handler", "do_syscall_64"), says: []string{"function graph"},
			// The core's look found the patched function all the same.
			nearMiss: blocker(observe.UserTask, observe.Asleep, "nap", "nap", "return_to_handler"), instead: "signal-frees"},
		{rule: "return-hook", fires: with(blocker(observe.UserTask, observe.Unreliable, "nap", "nap"), func(b *observe.Blocker) {
			b.Stack = append(b.Stack, "elfcorehdr_read+0x40/0x40") // what 5.10 shows of a kretprobe
		}), says: []string{"the code behind elfcorehdr_read()"},
			nearMiss: with(blocker(observe.UserTask, observe.Unreliable, "nap", "nap"), func(b *observe.Blocker) {
				b.Stack = append(b.Stack, "elfcorehdr_read+0x3f/0x40")
			}), instead: "unreliable"},
		{rule: "exception", fires: fault, says: []string{"asm_exc_page_fault", "inside copy(), which is patched"},
			// A program's own fault: its entry is the outermost frame.
			nearMiss: with(fault, func(b *observe.Blocker) {
				b.Stack = stack("handle_userfault", "copy", "exc_page_fault", "asm_exc_page_fault")
			}), instead: "signal-frees"},
		{rule: "exception", fires: fpFault, says: []string{"page"}, setting: Setting{Can: capable(kernels.FramePointer)},
			nearMiss: fpFault, missed: &Setting{Can: capable(kernels.ORC)}, instead: "elsewhere"},
		{rule: "kthread-loop", fires: loop, says: []string{"kthread foo/3 sleeps in bar_loop(), the patched function itself: it will never leave. Patch a function it calls, or wake it"},
			nearMiss: with(loop, func(b *observe.Blocker) { b.Stack = stack("bar_loop", "main_loop", "kthread") }), instead: "kthread-asleep"},
		{rule: "kthread-asleep", fires: blocker(observe.KThread, observe.Asleep, "nap", "nap", "doze", "kthread"), says: []string{"nap(), a patched function that doze() calls", "returns from nap()"},
			nearMiss: blocker(observe.UserTask, observe.Asleep, "nap", "nap", "doze"), instead: "signal-frees"},
		{rule: "kworker-inside", fires: with(blocker(observe.KWorker, observe.Asleep, "nap", "nap", "my_work", "process_one_work"), func(b *observe.Blocker) { b.Work = "my_work" }),
			says: []string{"carries out the work item my_work()", "inside nap()", "signals do nothing"}, nearMiss: blocker(observe.KWorker, observe.Waiting, "worker_thread", "worker_thread"), instead: "elsewhere"},
		{rule: "kworker-runs", fires: with(running(observe.KWorker), func(b *observe.Blocker) { b.Comm = "kworker/1:2+events" }), says: []string{"kworker kworker/1:2+events/3 runs on CPU 1", "no stack can be read while it runs (its workqueue is events)"},
			nearMiss: running(observe.KThread), instead: "kthread-runs"},
		{rule: "io-worker", fires: blocker(observe.IOWorker, observe.Asleep, "hold", "hold", "io_read"), says: []string{"of io_uring", "hold(), which is patched"},
			nearMiss: running(observe.IOWorker), instead: "user-runs"},
		{rule: "uninterruptible", fires: with(parked, func(b *observe.Blocker) { b.State, b.Wchan = "D", "msleep" }), says: []string{"user task foo/3 sleeps uninterruptibly in hold()", "(it waits in msleep())"},
			nearMiss: parked, instead: "signal-frees"},
		{rule: "signal-frees", fires: parked, says: []string{"15th round"}, nearMiss: with(parked, func(b *observe.Blocker) { b.State = "D" }), instead: "uninterruptible"},
		{rule: "signal-ignored", fires: parked, phase: signalled(stalledPhase()), says: []string{"although the core has signalled"},
			nearMiss: with(parked, func(b *observe.Blocker) { b.State = "D" }), instead: "uninterruptible"},
		{rule: "vhost", fires: with(running(observe.KThread), func(b *observe.Blocker) { b.Comm = "vhost-99" }), setting: Setting{Can: capable()}, says: []string{"kthread vhost-99/3 always has work", "cond_resched() is not enough"},
			nearMiss: with(running(observe.KThread), func(b *observe.Blocker) { b.Comm = "ghost-99" }), instead: "kthread-runs"},
		{rule: "vhost", fires: with(running(observe.KThread), func(b *observe.Blocker) { b.Stack = stack("loop", "kthread") }), says: []string{"schedule()"},
			nearMiss: with(running(observe.UserTask), func(b *observe.Blocker) { b.Stack = stack("loop", "do_syscall_64") }), instead: "user-runs"},
		{rule: "vhost", fires: with(running(observe.KThread), func(b *observe.Blocker) { b.Stack = stack("loop", "kthread") }), says: []string{"never sleeps"},
			nearMiss: with(running(observe.KThread), func(b *observe.Blocker) {
				b.Stack = stack("irqentry_exit_cond_resched", "asm_sysvec_apic_timer_interrupt", "loop", "kthread")
			}), instead: "kthread-runs"},
		{rule: "kthread-runs", fires: running(observe.KThread), setting: Setting{Can: capable(kernels.CondReschedSwitching)}, says: []string{"runs on CPU 1", "to call cond_resched() is enough"},
			nearMiss: running(observe.UserTask), instead: "user-runs"},
		{rule: "kthread-runs", fires: running(observe.KThread), setting: Setting{Can: capable(kernels.ScheduleSwitching)}, says: []string{"set_freezable()"},
			nearMiss: running(observe.IOWorker), instead: "user-runs"},
		{rule: "unreliable", fires: with(blocker(observe.UserTask, observe.Unreliable, "x", "x"), func(b *observe.Blocker) { b.Frame = "g+0x1/0x2" }), says: []string{"does not trust at g+0x1/0x2"},
			nearMiss: blocker(observe.UserTask, observe.Waiting, "x", "x"), instead: "elsewhere"},
		{rule: "user-runs", fires: running(observe.UserTask), says: []string{"has not left the kernel"}, nearMiss: running(observe.KWorker), instead: "kworker-runs"},
		{rule: "silent", fires: with(blocker(observe.UserTask, observe.Waiting, ""), func(b *observe.Blocker) { b.Witnesses = []string{observe.ByMemory} }), says: []string{"fell silent"},
			nearMiss: with(blocker(observe.UserTask, observe.Waiting, "x", "x"), func(b *observe.Blocker) { b.Witnesses = []string{observe.ByProc, observe.ByMemory} }), instead: "elsewhere"},
		{rule: "elsewhere", fires: blocker(observe.UserTask, observe.Waiting, "x", "x"), says: []string{"next round"}, nearMiss: parked, instead: "signal-frees"},
	} {
		tested[r.rule] = true
		t.Run(r.rule, func(t *testing.T) {
			phase := r.phase
			if phase == nil {
				phase = stalledPhase()
			}
			got := Diagnose(phase, []observe.Blocker{r.fires}, r.setting)
			require.Len(t, got, 1)
			require.Equal(t, r.rule, got[0].Rule, got[0].Text)
			require.Equal(t, []int{r.fires.TID}, got[0].TIDs)
			for _, words := range r.says {
				require.Contains(t, got[0].Text, words)
			}
			require.NotContains(t, got[0].Text, "%!", "a format that does not fit")
			setting := r.setting
			if r.missed != nil {
				setting = *r.missed
			}
			got = Diagnose(phase, []observe.Blocker{r.nearMiss}, setting)
			require.Len(t, got, 1)
			require.Equal(t, r.instead, got[0].Rule, got[0].Text)
		})
	}
	for _, r := range blockerRules {
		require.True(t, tested[r.name], "%s has no row", r.name)
	}
}

// TestPhaseRules: the same of transitions as a whole.
func TestPhaseRules(t *testing.T) {
	rounds := func(n int) *int { return &n }
	done := func(change func(*observe.Phase)) *observe.Phase {
		p := stalledPhase()
		p.End, p.Rounds = 4e9, rounds(2)
		change(p)
		return p
	}
	open := func(change func(*observe.Phase)) *observe.Phase {
		p := stalledPhase()
		change(p)
		return p
	}
	nobody := func(p *observe.Phase) { p.Samples[1].Sample = &observe.Sample{Total: 9} }
	late := func(p *observe.Phase) { p.Samples[1].T = p.Samples[0].T + aRound }
	broken := Setting{Broken: []string{"load nft failed 3 times"}}
	for _, r := range []struct {
		rule           string
		fires, misses  *observe.Phase
		setting, other Setting
		says           string
	}{
		{"idle-unseen", open(nobody), open(func(*observe.Phase) {}), Setting{}, Setting{}, "swapper/N"},
		{"idle-unseen", open(nobody), done(nobody), Setting{}, Setting{}, "idle"},
		{"first-round", done(func(p *observe.Phase) { p.Tasks = observe.Timeline{{Task: &observe.Task{Comm: "rcu_tasks", TID: 4}}} }),
			done(func(p *observe.Phase) { p.Rounds = rounds(1) }), Setting{}, Setting{}, "(rcu_tasks/4), and the core tries again only after about a second: apply was there after 2 rounds"},
		{"first-round", done(func(*observe.Phase) {}), done(func(p *observe.Phase) { p.Rounds = nil }), Setting{}, Setting{}, "2 rounds"},
		{"first-round", done(func(*observe.Phase) {}), done(func(p *observe.Phase) { signalled(p) }), Setting{}, Setting{}, "2 rounds"},
		{"slow-look", open(late), open(func(p *observe.Phase) { late(p); p.Samples[1].T-- }), Setting{}, Setting{}, "up to 0.8 s apart"},
		{"slow-look", done(func(p *observe.Phase) { p.Unseen = true }), done(late), Setting{}, Setting{}, "between two looks"},
		{"half-way", open(func(*observe.Phase) {}), open(func(*observe.Phase) {}), broken, Setting{}, "load nft failed 3 times"},
		{"half-way", open(func(*observe.Phase) {}), done(func(*observe.Phase) {}), broken, broken, "pre_patch"},
	} {
		t.Run(r.rule, func(t *testing.T) {
			found := func(p *observe.Phase, s Setting) (text string) {
				for _, d := range Diagnose(p, nil, s) {
					if d.Rule == r.rule {
						text = d.Text
					}
				}
				return text
			}
			require.Contains(t, found(r.fires, r.setting), r.says)
			require.Empty(t, found(r.misses, r.other))
		})
	}
}

// TestRulesAreNamedOnce: a case names a rule.
func TestRulesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range blockerRules {
		require.False(t, seen[r.name], r.name)
		seen[r.name] = true
	}
	for _, r := range phaseRules {
		require.False(t, seen[r.name], r.name)
		seen[r.name] = true
	}
	require.Len(t, seen, len(blockerRules)+len(phaseRules))
}

// TestManyTasksAreToldOfTogether: 500 sleepers are one sentence, and one that
// sleeps elsewhere is another.
func TestManyTasksAreToldOfTogether(t *testing.T) {
	var all []observe.Blocker
	for i := range 500 {
		all = append(all, with(blocker(observe.UserTask, observe.Asleep, "hold", "hold"), func(b *observe.Blocker) { b.TID = 100 + i }))
	}
	all = append(all, blocker(observe.KThread, observe.Asleep, "loop", "loop", "kthread"))
	got := Diagnose(stalledPhase(), all, Setting{})
	require.Len(t, got, 2)
	require.Contains(t, got[0].Text, "500 user tasks (foo/100, foo/101, foo/102 and 497 more) sleep in hold()")
	require.Len(t, got[0].TIDs, 500)

	phase := PhaseOf(observe.Apply, stalledPhase(), all, Setting{})
	_, reason := Judge(Evidence{Phases: []Phase{phase}})
	require.Contains(t, reason, "; and 491 more")
	require.Contains(t, reason, "; and 491 more. "+got[0].Text+". "+got[1].Text)
	require.Less(t, len(reason), 2000)
	require.Empty(t, Diagnose(nil, all, Setting{}), "nothing began")
}

// TestDiagnosedIsWanted: what a case can ask for, and what it then is told.
func TestDiagnosedIsWanted(t *testing.T) {
	loop := blocker(observe.KThread, observe.Asleep, "loop", "loop", "kthread")
	other := with(blocker(observe.UserTask, observe.Running, ""), func(b *observe.Blocker) { b.TID = 4 })
	all := []observe.Blocker{loop, other}
	o := Outcome{Verdict: VerdictStalled, Blockers: all, Diagnosis: Diagnose(stalledPhase(), all, Setting{})}
	require.NoError(t, Stalled(Kind(KThread), Diagnosed("kthread-loop")).Check(o))
	require.NoError(t, Stalled(Diagnosed("it will never leave")).Check(o))
	require.Error(t, Stalled(Kind(UserTask), Diagnosed("kthread-loop")).Check(o), "of another task")
	require.NoError(t, Stalled().Diagnosed("user-runs").Check(o))
	err := Stalled().Diagnosed("nohz-full").Check(o)
	require.ErrorContains(t, err, "it will never leave", "it says what was found")
	require.Error(t, Complete.Diagnosed("user-runs").Check(o))
}

// TestBrokenLoads: only what begins to fail while the transition is under way.
func TestBrokenLoads(t *testing.T) {
	load := func(at int64, id int, errors uint64) observe.Event {
		return observe.Event{Clock: observe.Guest, T: at, Load: &observe.Load{ID: id, Name: strings.Repeat("l", id), Errors: errors, FirstError: "no"}}
	}
	p := stalledPhase()
	events := observe.Timeline{load(5e8, 1, 0), load(5e8, 2, 1), load(2e9, 1, 4), load(2e9, 2, 9), load(2e9, 3, 0)}
	require.Equal(t, []string{`load l failed 4 times, first with "no"`}, BrokenLoads(events, p))
	p.End = 15e8
	require.Empty(t, BrokenLoads(events, p), "it failed afterwards")
	require.Empty(t, BrokenLoads(events, nil))
}
