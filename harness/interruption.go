// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/switchyard-project/switchyard/harness/report"
)

// Interruption measures from the end of Boot on how long anybody is
// interrupted: before the first Apply, while it patches, when it is patched,
// while Revert reverts, and after. VM.Interruption tells. It costs the guest
// some 2000 interrupts and wake-ups a second on each CPU.
func Interruption() Option { return func(_ testing.TB, o *options) { o.interruption = true } }

// interruption is what there is to know of a measurement beside its figures.
type interruption struct{ without []string }

func (v *VM) startInterruption(t testing.TB) {
	t.Helper()
	if !v.options.interruption {
		return
	}
	timer, err := v.yard.TimerModule(v.ctx, v.Kit)
	if err != nil {
		t.Fatalf("%+v", fetchError(v.ctx, v.Kit.Release, err))
	}
	if v.interruption.without, err = v.Guest.StartLateness(v.ctx, timer); err != nil {
		t.Fatalf("measure the interruption: %v", v.Explain(err))
	}
}

// Settle lets guest time go by in which nothing but the loads runs, until there
// is enough of it to tell how long they are interrupted.
func (v *VM) Settle(t testing.TB) {
	t.Helper()
	if err := v.Guest.Settle(v.ctx); err != nil {
		t.Fatalf("let the guest run: %v", v.Explain(err))
	}
}

func (v *VM) latenessWindow(t testing.TB, name string) {
	t.Helper()
	if err := v.Guest.LatenessWindow(v.ctx, name); err != nil {
		t.Fatalf("measure the interruption: %v", v.Explain(err))
	}
}

// Interruption ends the measurement that the option Interruption began, and
// gives what it came to, and what to know of that, a sentence each.
func (v *VM) Interruption(t testing.TB) (*report.Interruption, []string) {
	t.Helper()
	if !v.options.interruption {
		t.Fatal("the interruption is not measured: boot with harness.Interruption()")
	}
	err := v.Guest.StopLateness(v.ctx)
	if err == nil {
		err = v.Fence(v.ctx) // which comes behind what the witnesses told
	}
	if err != nil {
		t.Fatalf("measure the interruption: %v", v.Explain(err))
	}
	i, warnings := report.InterruptionOf(v.Timeline(), string(v.Accel), false)
	if i == nil {
		t.Fatal("no witness told how late it was")
	}
	return i, append(v.interruption.without, warnings...)
}
