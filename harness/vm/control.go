// SPDX-License-Identifier: Apache-2.0

package vm

import "context"

// Execute runs the QMP command name with args (nil for none) and decodes what
// it returns into result (nil to drop it).
// https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
func (m *Machine) Execute(ctx context.Context, name string, args, result any) error {
	return m.monitor.Execute(ctx, name, args, result)
}

// NMI sends a non-maskable interrupt to every virtual CPU. A kernel with
// unknown_nmi_panic prints backtraces and panics, others say that they are
// dazed and confused.
func (m *Machine) NMI(ctx context.Context) error { return m.Execute(ctx, "inject-nmi", nil, nil) }

// Stop pauses the guest's CPUs and clocks. Silence is not counted meanwhile.
func (m *Machine) Stop(ctx context.Context) error { return m.Execute(ctx, "stop", nil, nil) }

// Cont lets a stopped guest go on.
func (m *Machine) Cont(ctx context.Context) error { return m.Execute(ctx, "cont", nil, nil) }

// Type writes p as if typed at the guest's serial console.
func (m *Machine) Type(p []byte) (int, error) { return m.console.keyboard.Write(p) }
