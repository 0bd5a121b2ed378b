// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels"
)

// The files of a deterministic run in its folder.
const (
	planFile    = "plan.bin"
	resultsFile = "results.jsonl"
)

// bootSeed is what a machine draws from while it boots: all boot alike.
const bootSeed = vm.Seed(1)

// mailboxMachine is a machine whose time goes by its instructions and that
// nothing reaches from outside but a plan.
func (y *Yard) mailboxMachine(ctx context.Context, cfg GuestConfig, shift int) (vm.Config, error) {
	image, err := y.image(ctx, images.Spec{Kit: cfg.Kit, Files: cfg.Files})
	if err != nil {
		return vm.Config{}, err
	}
	qemu, err := y.FindQEMU(ctx)
	if err != nil {
		return vm.Config{}, err
	}
	machine := vm.Config{
		QEMU: qemu, Accel: vm.TCG, CPUs: 1, MemMiB: cfg.MemMiB,
		Kernel: cfg.Kit.BootImage(), Initrd: image,
		Append:  append(cfg.kernelArgs(), mailbox.Argument),
		Silence: cfg.Silence, Deadline: cfg.Deadline,
		Shift: &shift, NoChannel: true,
	}
	if machine.MemMiB == 0 {
		machine.MemMiB = DefaultMemMiB
	}
	return withMailbox(machine, "", bootSeed), nil
}

// withMailbox has the machine's mailbox be in dir.
func withMailbox(machine vm.Config, dir string, seed vm.Seed) vm.Config {
	machine.Dir = dir
	machine.Extra = []vm.Device{
		vm.FixedClock{}, vm.Watchdog{}, vm.Results{File: filepath.Join(dir, resultsFile)},
		vm.Blob{Name: mailbox.BlobName, File: filepath.Join(dir, planFile)}, seed,
	}
	return machine
}

// mailboxGolden gives the snapshot of a machine that looks into its mailbox
// next, from the cache or made.
func (y *Yard) mailboxGolden(ctx context.Context, cfg GuestConfig, machine vm.Config) (*Snapshot, error) {
	return y.goldenOf(ctx, cfg, machine, "mailbox", func(ctx context.Context, own vm.Config) error {
		return saveMailbox(ctx, withMailbox(own, own.Dir, bootSeed), cfg.Kit, cfg.BootTimeout)
	})
}

// saveMailbox boots machine and saves it when it looks for its plan.
func saveMailbox(ctx context.Context, machine vm.Config, kit *kernels.Kit, timeout time.Duration) error {
	if err := writePlan(machine.Dir, mailbox.Empty()); err != nil {
		return err
	}
	if timeout == 0 {
		timeout = DefaultBootTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the guest did not look for its plan within the boot timeout of %v", timeout))
	defer cancel()
	m, err := vm.Start(ctx, machine)
	if err != nil {
		return err
	}
	defer func() { m.Kill(); <-m.Done(); _ = m.Channel().Close() }()
	if err := m.AwaitStandstill(ctx); err != nil {
		if death := m.Fate(fateWait); death != nil {
			return death
		}
		return err
	}
	said, err := os.Open(filepath.Join(machine.Dir, resultsFile))
	if err != nil {
		return err
	}
	defer said.Close()
	if err := isReady(said, kit); err != nil {
		return fmt.Errorf("%w; its last lines: %s", err, m.Serial().Tail(10))
	}
	if _, err := m.Save(ctx); err != nil {
		return err
	}
	// As in every snapshot; this guest has seen nothing yet.
	log, err := observe.Create(filepath.Join(filepath.Dir(machine.Dir), pastFile), 0)
	if err != nil {
		return err
	}
	return log.Close()
}

// isReady looks whether a guest is ready by what it said so far.
func isReady(said io.Reader, kit *kernels.Kit) error {
	var ready *mailbox.Ready
	err := mailbox.Read(said, func(e mailbox.Entry) error {
		if e.Result != nil && e.Result.Ready != nil {
			ready = e.Result.Ready
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case ready == nil:
		return fmt.Errorf("boot %s: the guest's agent did not get ready", kit.Release)
	case ready.Release != kit.Release:
		return fmt.Errorf("boot %s: the guest says that it is %.80q", kit.Release, ready.Release)
	case len(ready.Problems) > 0:
		return fmt.Errorf("boot %s: the agent has problems: %.400q", kit.Release, ready.Problems)
	}
	return nil
}
