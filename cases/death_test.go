// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestPanic: a panic of the guest is told as one, with the kernel's reason.
func TestPanic(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.AllowReport("."))
		vm.WriteFile(t, "/proc/sys/kernel/panic_on_oops", "1")
		vm.Tell(t, "/proc/sysrq-trigger", "c")
		var panicked *harness.GuestPanic
		require.ErrorAs(t, vm.Died(t), &panicked)
		require.Contains(t, panicked.Reason, "Kernel panic - not syncing")
		require.Contains(t, panicked.Error(), "panicked")
		require.Equal(t, k.Can(kernels.PVPanic), hasEvent(panicked, "GUEST_PANICKED"), "whether QEMU was told by pvpanic")
	})
}

func hasEvent(p *harness.GuestPanic, name string) bool {
	for _, e := range p.Events {
		if e.Event == name {
			return true
		}
	}
	return false
}

// TestHang: a guest that hangs with interrupts off is told as silent.
func TestHang(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.CPUs(1), harness.SilenceAfter(10*time.Second), harness.AllowReport("."))
		vm.Insert(t, holdModule)
		vm.Tell(t, knobs+"hang", "1")
		var silent *harness.Silence
		require.ErrorAs(t, vm.Died(t), &silent)
		require.GreaterOrEqual(t, silent.For, 10*time.Second)
	})
}

// TestKilledQEMU: a QEMU killed from outside is no fault of the guest's.
func TestKilledQEMU(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k)
		require.NoError(t, syscall.Kill(vm.Machine.Pid(), syscall.SIGKILL))
		var killed *harness.QEMUKilled
		require.ErrorAs(t, vm.Died(t), &killed)
		require.Equal(t, syscall.SIGKILL, killed.Signal)
	})
}
