// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
)

// VCPU is a virtual CPU and the thread of the host that runs it. Emulated ones
// can share one.
type VCPU struct {
	CPU    int `json:"cpu-index"`
	Thread int `json:"thread-id"`
}

// VCPUs are the machine's virtual CPUs.
// https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html, query-cpus-fast
func (m *Machine) VCPUs(ctx context.Context) (all []VCPU, err error) {
	if err := m.Execute(ctx, "query-cpus-fast", nil, &all); err != nil {
		return nil, fmt.Errorf("ask for the virtual CPUs: %w", err)
	}
	return all, nil
}
