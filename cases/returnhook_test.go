// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

const tracing = "/sys/kernel/tracing/"

// TestReturnHooks patches hold_read() while a task sleeps in hold_park(), which
// hold_read() calls and to which a tracer has fastened itself that replaces its
// return address (class 12 of the bug list). That address is all there is of
// hold_read() on the stack: an unwinder that passes over what the tracer put
// there lets the task switch in the middle of it. One that finds the address
// again sees hold_read(); any other must say that it cannot tell.
func TestReturnHooks(t *testing.T) {
	eachReturnHook(t, "hold_park", "switchyard_hold:hold_park", func(t *testing.T, k *kernels.Kit, h returnHook) {
		vm := harness.Boot(t, k, harness.Commands(), harness.With(holdModule))
		h.on(t, vm)
		held := vm.Start(t, "/bbin/cat", knobs+"uninterruptible")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })

		sees := h.sees == "" || k.Can(h.sees)
		traits := []check.Trait{check.Named("cat"), check.Kind(check.UserTask)}
		if sees {
			traits = append(traits, check.AsleepOn("hold_read"), check.Diagnosed("uninterruptible"))
		} else {
			traits = append(traits, check.UnreliableStack, check.Diagnosed("return-hook"))
		}
		p := vm.Apply(t, "testdata/hold_read", harness.StallAfter(4*time.Second)).Expect(t, check.Stalled(traits...))
		require.Equal(t, 1, p.Phase(t).Left(), "tasks left besides the one that is held")
		p = p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)

		// A patch of what the task is not in.
		other := vm.Apply(t, "testdata/cmdline", harness.StallAfter(4*time.Second))
		if sees {
			other.Expect(t, check.Complete)
		} else {
			other.Expect(t, check.Stalled(check.Named("cat"), check.UnreliableStack))
		}
		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		h.off(t, vm)
		other = other.Follow(t, patience).Expect(t, check.Complete)
		other.Revert(t).Expect(t, check.Complete)
	})
}

// returnHook is a tracer that replaces the return address of a function.
type returnHook struct {
	name  string
	needs kernels.Capability
	sees  kernels.Capability // the unwinder finds the address; "" for always
	on    func(t *testing.T, vm *harness.VM)
	off   func(t *testing.T, vm *harness.VM)
}

// returnHooks are those that fasten themselves to a function, given as ftrace
// and as kprobes name it.
func returnHooks(function, probed string) []returnHook {
	return []returnHook{
		{"kretprobe", kernels.Kprobes, kernels.KretprobeUnwinding,
			func(t *testing.T, vm *harness.VM) {
				vm.WriteFile(t, tracing+"kprobe_events", "r:switchyard/hooked "+probed)
				vm.WriteFile(t, tracing+"events/switchyard/hooked/enable", "1")
			},
			func(t *testing.T, vm *harness.VM) {
				vm.WriteFile(t, tracing+"events/switchyard/hooked/enable", "0")
				vm.WriteFile(t, tracing+"kprobe_events", "\n") // opened anew, it forgets all
			}},
		{"function graph", kernels.FunctionGraph, "",
			func(t *testing.T, vm *harness.VM) {
				vm.WriteFile(t, tracing+"set_ftrace_filter", function)
				vm.WriteFile(t, tracing+"current_tracer", "function_graph")
			},
			func(t *testing.T, vm *harness.VM) {
				vm.WriteFile(t, tracing+"current_tracer", "nop")
			}},
	}
}

// eachReturnHook runs f with each of them on each kernel that has it.
func eachReturnHook(t *testing.T, function, probed string, f func(*testing.T, *kernels.Kit, returnHook)) {
	for _, h := range returnHooks(function, probed) {
		t.Run(h.name, func(t *testing.T) {
			harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
				if !k.Can(h.needs) {
					t.Skipf("%s has no %s", k.Release, h.needs)
				}
				f(t, k, h)
			})
		})
	}
}

// TestCallsUnderReturnHooks: with such a tracer on the patched function itself
// its calls are still told apart, each of them.
func TestCallsUnderReturnHooks(t *testing.T) {
	eachReturnHook(t, "cmdline_proc_show", "cmdline_proc_show", func(t *testing.T, k *kernels.Kit, h returnHook) {
		vm := harness.Boot(t, k, harness.Calls())
		h.on(t, vm)
		p := vm.Apply(t, "testdata/cmdline").Expect(t, check.Complete)
		for range 7 {
			require.Contains(t, vm.ReadFile(t, cmdline), "has been live patched")
		}
		p.Revert(t).Expect(t, check.Complete)
		for range 3 {
			vm.ReadFile(t, cmdline)
		}
		seen := vm.Calls(t)
		require.Equal(t, uint64(7), seen.New)
		require.Equal(t, uint64(3), seen.Old)
		require.Empty(t, vm.WrongCalls(t))
		h.off(t, vm)
	})
}
