// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// alone boots a guest whose second CPU nobody but the case uses, so that the
// agent that asks for the transition, and the core's work, never take it. The
// first one is kept busy: an idle CPU's timers, that of the core's work too, are
// handed to one that is not (from 6.9 on, and to isolated ones until 6.18; commit
// 7ee988770326, timers: Implement the hierarchical pull model).
func alone(t *testing.T, k *kernels.Kit, opts ...harness.Option) *harness.VM {
	t.Helper()
	vm := harness.Boot(t, k, append(opts, harness.CPUs(2), harness.KernelArgs("isolcpus=1"), harness.Load("proc-readers"))...)
	if isolated := vm.ReadFile(t, "/sys/devices/system/cpu/isolated"); isolated != "1\n" {
		t.Skipf("%s takes no notice of isolcpus= (CONFIG_CPU_ISOLATION)", k.Release)
	}
	return vm
}

// TestVHost patches while a kthread has work without end and gives the CPU up by
// schedule() alone, as vhost's workers did (class 6 of the bug list). No kernel
// switches it there: it may not be frozen, and schedule() is not cond_resched().
func TestVHost(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := alone(t, k)
		if vm.CPUsTakeTurns() {
			t.Skip("this emulator runs one CPU at a time, and two of seven guests of 6.18 double faulted meanwhile at the same place of kmem_cache_alloc(), with flags that no code sets")
		}
		heldUpBySpinner(t, vm, check.Stalled(check.Named("vhost-7"), check.Kind(check.KThread), check.Running, check.Diagnosed("vhost")), patience, "by_schedule=1", "comm=vhost-7")
	})
}

// TestVCPU patches while a task does what the CPU of a virtual machine does in
// KVM's loop: it computes inside the kernel and looks for signals alone (class 7
// of the bug list).
func TestVCPU(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		needsHeaders(t, k, "testdata/vcpu")
		vm := alone(t, k, harness.Commands(), harness.With("testdata/vcpu/switchyard_vcpu.c"))
		const vcpu = "/sys/kernel/debug/switchyard_vcpu/"
		vm.Start(t, "/bbin/cat", vcpu+"run")
		vm.Eventually(t, vcpu+"turns", func(n string) bool { return n != "0" })

		p := vm.Apply(t, "testdata/cmdline", harness.StallAfter(5*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.Kind(check.UserTask), check.Running, check.Diagnosed("vcpu")))
		p = freedBySignal(t, vm, p)
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// TestNoHZFull reverts a patch while a program computes on a CPU without a tick
// (class 8 of the bug list): nothing interrupts it, so it does not enter the
// kernel, and switches only when it is signalled. Where the core changes the
// kernel's text when it begins, it interrupts every CPU by that, and so does
// every kernel for the memory of a module that comes: patches go in.
func TestNoHZFull(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		if !k.Can(kernels.NoHzFull) {
			t.Skipf("%s has no %s", k.Release, kernels.NoHzFull)
		}
		// Nobody else has work for that CPU: no device, no clock's watchdog.
		vm := alone(t, k, harness.KernelArgs("nohz_full=1", "irqaffinity=0", "nowatchdog", "tsc=reliable"))
		vm.WriteFile(t, "/proc/sys/vm/stat_interval", "3600") // nor the kernel's statistics
		vm.Start(t, vm.Program(t, "./tasks"), "compute", "1")
		tickless(t, vm, 1)
		p := vm.Apply(t, "testdata/cmdline").Expect(t, check.Complete)

		tickless(t, vm, 1)
		if k.Can(kernels.CondReschedSwitching) || k.Can(kernels.ScheduleSwitching) {
			p = p.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
			// A CPU that was interrupted and has not had its turn yet is looked at
			// in vain once.
			require.LessOrEqual(t, *p.Phase(t).Rounds, 2, "nobody interrupted the CPU at the beginning")
		} else {
			p = p.Revert(t, harness.StallAfter(5*time.Second))
			p.Expect(t, check.Stalled(check.Named("switchyard-comp"), check.Kind(check.UserTask), check.Running, check.Diagnosed("nohz-full")))
			p = freedBySignal(t, vm, p)
		}
		p.Unload(t)
	})
}

// TestBusyCPU reverts a patch of the idle loop while a program has a CPU for
// itself (class 9 of the bug list): the idle task sleeps in the patched function
// for as long as the CPU does not idle. An instrument of calls' times is such a
// patch, and goes when no call is under way.
func TestBusyCPU(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := alone(t, k)
		p := vm.Apply(t, "time:do_idle").Expect(t, check.Complete)
		vm.Start(t, vm.Program(t, "./tasks"), "compute", "1")
		busy(t, vm, 1)

		p = p.Revert(t, harness.StallAfter(5*time.Second))
		p.Expect(t, check.Stalled(check.Named("swapper/1"), check.Kind(check.IdleTask), check.AsleepOn("do_idle"), check.Diagnosed("idle-asleep")))
		require.Zero(t, p.Phase(t).Left(), "tasks left besides the idle one")
		program := processCalled(t, vm, "switchyard-comp")
		require.NoError(t, vm.Client.Signal(t.Context(), program, program, syscall.SIGTERM))
		p = p.Follow(t, patience).Expect(t, check.Complete)
		p.Unload(t)
	})
}

// busy waits until a CPU has not idled for a tenth of a second.
func busy(t *testing.T, vm *harness.VM, cpu int) {
	t.Helper()
	var since, idle uint64 // in ticks of 10 ms
	vm.Eventually(t, "/proc/stat", func(text string) bool {
		for line := range strings.Lines(text) {
			var user, nice, system, now uint64
			if n, _ := fmt.Sscanf(line, fmt.Sprintf("cpu%d %%d %%d %%d %%d", cpu), &user, &nice, &system, &now); n == 4 {
				if now != idle {
					since, idle = user, now
				}
				return user >= since+10
			}
		}
		t.Fatalf("no CPU %d in /proc/stat", cpu)
		return false
	})
}

// freedBySignal ends the task in the way of p, and the transition ends.
func freedBySignal(t *testing.T, vm *harness.VM, p *harness.Patch) *harness.Patch {
	t.Helper()
	require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that runs")
	require.Len(t, p.Outcome.Blockers, 1)
	b := p.Outcome.Blockers[0]
	require.NoError(t, vm.Client.Signal(t.Context(), b.PID, b.TID, syscall.SIGTERM))
	return p.Follow(t, patience).Expect(t, check.Complete)
}

// tickless waits until a CPU has no tick: the first one has had many more
// meanwhile.
func tickless(t *testing.T, vm *harness.VM, cpu int) {
	t.Helper()
	var first, last []int
	vm.Eventually(t, "/proc/interrupts", func(text string) bool {
		now := localTimers(t, text)
		if last == nil || now[cpu] != last[cpu] {
			first = now
		}
		last = now
		return now[0] >= first[0]+50
	})
}

// localTimers is how often each CPU's timer has interrupted it, as
// /proc/interrupts has it.
func localTimers(t *testing.T, text string) (n []int) {
	t.Helper()
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "LOC:" {
			continue
		}
		for _, f := range fields[1:] {
			i, err := strconv.Atoi(f)
			if err != nil {
				return n // what they are, in words
			}
			n = append(n, i)
		}
	}
	require.NotEmpty(t, n, "no LOC line in /proc/interrupts")
	return n
}
