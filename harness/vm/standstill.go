// SPDX-License-Identifier: Apache-2.0

package vm

import "context"

// AwaitStandstill waits until the guest's Watchdog has gone off, which stops
// the machine at a moment of virtual time that the guest chose: a snapshot
// taken then is the same whenever the host gets to it, and whichever host.
// That is so if the guest's CPU is idle then: QEMU goes from idle to the
// watchdog's time, and stops, in one go. (A CPU that stops itself, by a
// panic's port for one, is taken for idle before the machine counts as
// stopped, and in four of seven boots its clock went on to the next timer.)
//
// Cont lets the guest, or a fork of it, go on.
func (m *Machine) AwaitStandstill(ctx context.Context) error {
	if err := m.Execute(ctx, "set-action", map[string]any{"watchdog": "pause"}, nil); err != nil {
		return err
	}
	return m.await(ctx, "query-status", func(answer migrationStatus) (bool, error) {
		return answer.Status == "watchdog", nil
	})
}
