// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// process is a QEMU that was started and that nobody has spoken to yet. It is
// watched, and its logs are written, from when a Machine takes it.
type process struct {
	argv   []string
	ends   *ends
	child  *guard.Child
	stderr *stderrTail
	exited chan error // of the wrapper
	// scratch removes the folder of the console's names.
	scratch func()
}

// spawn starts argv. QEMU dies with this process, however that ends.
func spawn(ctx context.Context, cfg Config) (p *process, err error) {
	dir, remove, err := guard.Scratch(os.TempDir(), "switchyard-console")
	if err != nil {
		return nil, fmt.Errorf("names of the console's pipes: %w", err)
	}
	p = &process{stderr: &stderrTail{}, exited: make(chan error, 1), scratch: remove}
	defer func() {
		if err != nil {
			remove()
		}
	}()
	if p.argv, err = cfg.args(inherited(dir)); err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	if p.ends, err = openEnds(dir); err != nil {
		return nil, err
	}
	defer p.ends.closeTheirs()
	defer func() {
		if err != nil {
			p.ends.closeOurs()
		}
	}()
	// Not ctx: how a machine ends is decided in one place, watch.
	p.child, err = guard.Command(context.WithoutCancel(ctx), p.ends.theirs, p.argv[0], p.argv[1:]...)
	if err != nil {
		return nil, err
	}
	p.child.Stdout, p.child.Stderr = p.stderr, p.stderr
	if err := p.child.Start(); err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	go func() { p.exited <- p.child.Wait() }()
	return p, nil
}

// close ends a process that no machine took, and waits until it is gone.
func (p *process) close() {
	p.child.Kill()
	select {
	case <-p.exited:
	case <-time.After(deathGrace): // killed, and stuck in the kernel
	}
	p.ends.closeOurs()
	p.scratch()
}
