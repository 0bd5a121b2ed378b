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

// TestIdleGuest counts the rounds of transitions of a guest that does nothing
// (class 10 of the bug list). With one vCPU the core, which runs there, finds no
// idle task running: the first round is enough, always. With two it meets the
// idle task of the other, unless that has happened to pass its loop just now
// (about every other time); it tries again a second later, by when it is
// switched, woken by the core itself or by an interrupt.
func TestIdleGuest(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.CPUs(1))
		for range 2 {
			for _, p := range thereAndBack(t, vm) {
				require.Len(t, p.Phase(t).Tries, 1)
			}
		}

		vm = harness.Boot(t, k, harness.CPUs(2))
		const tries = 6
		for range tries {
			for _, p := range thereAndBack(t, vm) {
				rounds := p.Phase(t).Tries
				if len(rounds) == 1 {
					continue
				}
				p.Expect(t, check.Complete.Diagnosed("first-round"))
				require.Greater(t, time.Duration(rounds[1]-rounds[0]), 500*time.Millisecond, "between two rounds")
				if !k.Can(kernels.IdleWakeUp) || len(rounds) == 2 {
					return
				}
			}
		}
		t.Fatalf("of %d transitions none needed a second round, and no more", 2*tries)
	})
}

// thereAndBack applies a patch of the kernel and reverts it.
func thereAndBack(t *testing.T, vm *harness.VM) []*harness.Patch {
	t.Helper()
	applied := vm.Apply(t, "testdata/cmdline", harness.StallAfter(patience)).Expect(t, check.Complete)
	reverted := applied.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
	applied.Unload(t)
	return []*harness.Patch{applied, reverted}
}
