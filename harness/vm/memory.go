// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Memory gives n bytes of the guest's memory from a kernel's virtual address
// on, as one of its CPUs sees it. With page table isolation a CPU that runs a
// program sees next to nothing of the kernel, so all are asked.
func (m *Machine) Memory(ctx context.Context, address uint64, n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	f, err := os.CreateTemp(m.cfg.Dir, memoryFile+"*")
	if err != nil {
		return nil, fmt.Errorf("read the guest's memory: %w", err)
	}
	f.Close()
	defer os.Remove(f.Name())
	path, err := filepath.Abs(f.Name())
	if err != nil {
		return nil, err
	}
	var failed error
	// QMP has signed numbers only.
	for cpu := range max(m.cfg.CPUs, 1) {
		args := map[string]any{"val": int64(address), "size": n, "filename": path, "cpu-index": cpu}
		if err := m.Execute(ctx, "memsave", args, nil); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) != n {
			return nil, fmt.Errorf("read the guest's memory: QEMU wrote %d bytes of %d: %w", len(data), n, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("read %d bytes of the guest's memory at %#x: %w", n, address, failed)
}
