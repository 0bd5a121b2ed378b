// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

const contexts = "/sys/kernel/debug/switchyard_contexts/"

// everywhere are the contexts that the target module calls its function in.
var everywhere = []string{observe.InSystemCall, observe.InKThread, observe.InKWorker, observe.InSoftIRQ, observe.InTasklet, observe.InHardIRQ}

// needsHeaders skips a case whose module uses more of the kernel's headers than
// there is for kernels of which only the image is at hand.
func needsHeaders(t *testing.T, k *kernels.Kit, module string) {
	t.Helper()
	if k.HeadersDir == "" {
		t.Skipf("%s: only the image of this kernel is at hand, and %s needs its headers", k.Release, module)
	}
}

// TestCallsInEveryContext: each call of a function in a module is seen, with
// the code that it ran, its context and its caller.
func TestCallsInEveryContext(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		needsHeaders(t, k, "testdata/contexts")
		vm := harness.Boot(t, k, harness.Calls())
		p := vm.Apply(t, "testdata/contexts").Expect(t, check.Complete)

		seen := vm.Calls(t)
		require.Equal(t, []string{"switchyard_contexts:contexts_touch"}, seen.Unexercised)

		vm.WriteFile(t, contexts+"each", "5")
		seen = vm.Calls(t)
		require.Empty(t, seen.Unexercised)
		require.Len(t, seen.Functions, 1)
		require.Equal(t, inEach(5), seen.Functions[0].Contexts)
		require.EqualValues(t, 0, seen.Old)
		require.EqualValues(t, 30, seen.New)

		p.Revert(t).Expect(t, check.Complete)
		vm.WriteFile(t, contexts+"each", "3")
		require.Equal(t, "18", strings.TrimSpace(vm.ReadFile(t, contexts+"calls")), "by the function's own count")
		seen = vm.Calls(t)
		f := seen.Functions[0]
		require.Equal(t, inEach(8), f.Contexts)
		require.EqualValues(t, 18, f.Old)
		require.EqualValues(t, 30, f.New)
		require.Equal(t, map[string]uint64{"contexts": 30}, f.Versions)
		require.EqualValues(t, 0, f.AfterCompletion, "%+v", seen.Late)
		require.Less(t, f.FirstNewNS, f.LastOldNS)
		callers := map[string]uint64{}
		for _, c := range f.Callers {
			callers[c.Function] = c.N
		}
		require.EqualValues(t, 8, callers["touch_from_tasklet [switchyard_contexts]"], "%v", callers)
		require.EqualValues(t, 8, callers["touch_from_hardirq [switchyard_contexts]"], "%v", callers)
		require.EqualValues(t, 0, seen.Lost)
		require.Empty(t, seen.Void)
		p.Unload(t)
	})
}

func inEach(n uint64) map[string]uint64 {
	all := map[string]uint64{}
	for _, c := range everywhere {
		all[c] = n
	}
	return all
}

// TestCallsOfAStack: each call counts for the patch whose code it ran, and one
// that runs what a complete transition took out of use is told.
func TestCallsOfAStack(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		needsHeaders(t, k, "testdata/undone")
		vm := harness.Boot(t, k, harness.Calls())
		one := vm.Apply(t, "testdata/stack_one").Expect(t, check.Complete)
		for range 3 {
			require.Equal(t, "stack one\n", vm.ReadFile(t, cmdline))
		}
		two := vm.Apply(t, "testdata/undone").Expect(t, check.Complete)
		require.Empty(t, vm.WrongCalls(t))
		vm.Eventually(t, cmdline, func(text string) bool { return text == "stack one" })

		seen := vm.Calls(t)
		f := seen.Functions[0]
		require.GreaterOrEqual(t, f.Versions["stack_one"], uint64(4))
		require.GreaterOrEqual(t, f.AfterCompletion, uint64(1))
		require.NotEmpty(t, seen.Late)
		require.Equal(t, "stack_one", seen.Late[0].Version)
		require.Equal(t, "apply of undone", seen.Late[0].After)
		require.Equal(t, "seq_read_iter", seen.Late[0].Caller)
		require.Equal(t, observe.InSystemCall, seen.Late[0].Context)
		require.Contains(t, vm.WrongCalls(t)[0], "cmdline_proc_show()")

		two.Revert(t).Expect(t, check.Complete)
		two.Unload(t)
		one.Revert(t).Expect(t, check.Complete)
		one.Unload(t)
	})
}

// TestCallsAtomicReplace: what an atomic replace takes out is over with it.
func TestCallsAtomicReplace(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Calls(), harness.Load("proc-readers"))
		vm.Apply(t, "testdata/stack_one").Expect(t, check.Complete)
		require.Equal(t, "stack one\n", vm.ReadFile(t, cmdline))
		vm.Apply(t, "testdata/replace").Expect(t, check.Complete)
		vm.ReadFile(t, cmdline)
		require.Equal(t, "replaced version\n", vm.ReadFile(t, "/proc/version"))
		seen := vm.Calls(t)
		require.Len(t, seen.Functions, 2)
		require.NotZero(t, seen.Functions[0].Old, "of cmdline_proc_show, when it was replaced")
		require.NotZero(t, seen.Functions[0].Versions["stack_one"])
		require.NotZero(t, seen.Functions[1].Versions["replace"])
		require.Empty(t, vm.WrongCalls(t))
	})
}

// TestCallsOverrun: calls that come faster than a small buffer holds are
// counted as lost, and nothing is concluded from the others.
func TestCallsOverrun(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		needsHeaders(t, k, "testdata/contexts")
		vm := harness.Boot(t, k, harness.CallsBuffer(8))
		vm.Apply(t, "testdata/contexts").Expect(t, check.Complete)
		const n = 20000
		vm.WriteFile(t, contexts+"burst", "20000")
		seen := vm.Calls(t)
		require.Greater(t, seen.Lost, uint64(n/2))
		require.Less(t, seen.New, uint64(n))
		require.Contains(t, seen.Void, "trace events were lost")
		require.Empty(t, seen.Unexercised)
		require.Empty(t, vm.WrongCalls(t))
	})
}

// TestCallsTooMany: a function that is called without end is given up, before
// it takes the guest down or others' calls are lost with it.
func TestCallsTooMany(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		needsHeaders(t, k, "testdata/contexts")
		vm := harness.Boot(t, k, harness.Calls())
		p := vm.Apply(t, "testdata/contexts").Expect(t, check.Complete)
		vm.WriteFile(t, contexts+"storm", "1")
		for vm.Calls(t).Functions[0].Unseen == "" {
		}
		seen := vm.Calls(t)
		require.Contains(t, seen.Functions[0].Unseen, "too often")
		require.NotZero(t, seen.New)
		vm.WriteFile(t, contexts+"each", "2") // the guest goes on
		require.Equal(t, seen.New, vm.Calls(t).New, "calls that are seen all the same")
		vm.WriteFile(t, contexts+"storm", "0")
		p.Revert(t).Expect(t, check.Complete)
		require.Empty(t, vm.WrongCalls(t))
	})
}
