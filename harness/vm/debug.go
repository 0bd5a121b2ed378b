// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// Debug opens QEMU's gdbstub at address: "tcp:HOST:PORT" or "unix:PATH". A gdb
// that attaches stops the guest, and lets it go on when it detaches; each
// virtual CPU is a thread to it.
// https://www.qemu.org/docs/master/system/gdb.html
func (m *Machine) Debug(ctx context.Context, address string) error {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		address = "unix:" + strings.ReplaceAll(path, ",", ",,") + ",server=on,wait=off"
	}
	said, err := m.monitorCommand(ctx, "gdbserver "+address)
	if err != nil {
		return fmt.Errorf("open a door for gdb at %s: %w", address, err)
	}
	// What it listens at is told, and nothing else.
	if said = strings.TrimSpace(said); said != "" && !strings.HasPrefix(said, "Waiting for gdb connection") {
		return fmt.Errorf("open a door for gdb at %s: QEMU says: %s", address, said)
	}
	return nil
}

// Dump writes the guest's physical memory and its CPUs' registers as an ELF
// core to path: for crash, drgn and others that know kernels. The guest stands
// still meanwhile, and is as it was afterwards.
// https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (dump-guest-memory)
func (m *Machine) Dump(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	args := map[string]any{"paging": false, "protocol": "file:" + path}
	if err := m.Execute(ctx, "dump-guest-memory", args, nil); err != nil {
		return fmt.Errorf("dump the guest's memory to %s: %w", path, err)
	}
	return nil
}

// monitorCommand has QEMU's monitor for people carry out a line: for what QMP
// has no command of its own for.
func (m *Machine) monitorCommand(ctx context.Context, line string) (string, error) {
	var said string
	err := m.Execute(ctx, "human-monitor-command", map[string]any{"command-line": line}, &said)
	return strings.ReplaceAll(said, "\r", ""), err
}
