// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Replay is a recorded run to be played again.
type Replay struct {
	Dir string // with the recording
	// Of is the description of the bundle that the recording came in, which the
	// recording has to agree with; nil for a folder that is this machine's own.
	Of  *bundle.Manifest
	Out string // where the machine's logs and results go
	// Debugger is where QEMU waits for gdb before the first instruction:
	// "tcp::1234", "unix:PATH,server=on,wait=off"; "" for nowhere.
	Debugger string
	// StopAt is the number of instructions after which the guest stands still;
	// 0 for never.
	StopAt int64
	// Waiting hears that the guest waits for the debugger, and of which kernel's
	// vmlinux; may be nil.
	Waiting func(vmlinux string)
	// Stopped hears where the guest stands still, which ends the replay; with a
	// debugger it is that which hears. May be nil.
	Stopped func(at Stop)
}

// Stop is a moment of a replay. An interrupt that comes at this very moment may
// be taken already, or not yet: that is no instruction.
type Stop struct {
	Instructions int64
	Registers    string // the virtual CPU's, as QEMU prints them
	Console      string // the last line
}

// Replayed is what came of a replay.
type Replayed struct {
	Recording *Recording
	// Ended: the guest came to its end, and was not stopped before.
	Ended bool
	// Differences are the outputs that are not what they were when the run was
	// recorded, Short those that are a beginning of it, as when a debugger ended
	// the guest. None of both: the same end was reached.
	Differences, Short []string
	Death              error // how the machine ended; nil if it powered itself off
}

// Replay plays a recorded run. The error is a *patch.InputError for a recording
// that is not whole or not of this version, a *kernels.Lacking for what this
// machine lacks to play it.
func (y *Yard) Replay(ctx context.Context, r Replay) (*Replayed, error) {
	about, err := readRecording(r.Dir)
	if err == nil {
		err = about.check(r)
	}
	if err != nil {
		return nil, err
	}
	machine, err := y.replayMachine(ctx, about, r)
	if err != nil {
		return nil, err
	}
	release, err := y.token(ctx, vm.TCG)
	if err != nil {
		return nil, err
	}
	defer release()
	m, err := vm.Start(ctx, machine)
	if err != nil {
		return nil, err
	}
	m.ExpectShutdown()
	defer func() { _ = m.Discard(); _ = m.Channel().Close() }()
	if err := r.play(ctx, m, machine.Kernel); err != nil {
		return nil, err
	}
	out := &Replayed{Recording: about}
	select {
	case <-m.Done():
	default: // it stands where it was to stop
		return out, nil
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	out.Ended, out.Death = true, m.Wait()
	if err := m.LogErr(); err != nil {
		return nil, store.DiskFull(err, r.Out)
	}
	return out, out.compare(r)
}

// compare looks at what the guest wrote, beside what it wrote when it was
// recorded.
func (out *Replayed) compare(r Replay) error {
	found, err := outputs(r.Out)
	if err != nil {
		return err
	}
	for _, what := range []string{sumConsole, sumResults} {
		if found[what] == out.Recording.Outputs[what] {
			continue
		}
		got, err := output(r.Out, what)
		if err != nil {
			return err
		}
		if whole, err := output(r.Dir, what); err == nil && bytes.HasPrefix(whole, got) {
			out.Short = append(out.Short, what)
			continue
		}
		out.Differences = append(out.Differences, what)
	}
	return nil
}

// play has the machine run, to its end or until Stopped has had enough.
func (r *Replay) play(ctx context.Context, m *vm.Machine, vmlinux string) error {
	if r.StopAt > 0 {
		if err := m.StopAt(ctx, r.StopAt); err != nil {
			return fmt.Errorf("stop after %d instructions: %w", r.StopAt, err)
		}
	}
	switch {
	case r.Debugger != "": // which lets it go, and hears where it stops
		if r.Waiting != nil {
			r.Waiting(vmlinux)
		}
	default:
		if err := m.Cont(ctx); err != nil {
			return err
		}
		if r.StopAt > 0 {
			return r.stop(ctx, m)
		}
	}
	select {
	case <-m.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop waits for the moment at which the guest is to stand still, and tells
// Stopped of it. A guest may end before.
func (r *Replay) stop(ctx context.Context, m *vm.Machine) error {
	err := m.AwaitStop(ctx)
	var death vm.Death
	switch {
	case errors.As(err, &death):
		return nil // Replay tells it
	case err != nil:
		return err
	}
	select {
	case <-m.Done():
		return nil
	default:
	}
	var at Stop
	if at.Instructions, err = m.Instructions(ctx); err != nil {
		return err
	}
	if at.Registers, err = m.Registers(ctx); err != nil {
		return err
	}
	if lines, _ := m.Serial().Lines(1); len(lines) > 0 {
		at.Console = lines[0].Text
	}
	if r.Stopped != nil {
		r.Stopped(at)
	}
	return nil
}

// replayMachine is the machine of a recording, with all checked that must be
// the same.
func (y *Yard) replayMachine(ctx context.Context, about *Recording, r Replay) (vm.Config, error) {
	none := vm.Config{}
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		return none, err
	}
	qemu, err := y.FindQEMU(ctx)
	if err != nil {
		return none, err
	}
	if qemu.Version != about.QEMU {
		return none, &kernels.Lacking{
			What:   fmt.Sprintf("QEMU %s, which made the recording", about.QEMU),
			Remedy: "name one with -qemu; another version plays its log otherwise, or not at all",
			Err:    fmt.Errorf("%s is here, from the %s", qemu.Version, qemu.Origin),
		}
	}
	kernel, err := y.recordedKernel(ctx, about, dir)
	if err != nil {
		return none, err
	}
	found, err := inputs(dir, kernel)
	if err != nil {
		return none, &patch.InputError{Path: dir, Text: "the recording is not whole: " + err.Error(), Err: err}
	}
	var errs *multierror.Error
	for _, what := range []string{sumInitrd, sumPlan, sumLog} {
		if found[what] != about.Inputs[what] {
			errs = multierror.Append(errs, &patch.InputError{Path: dir, Text: "the " + what + " is not the one that was recorded: take the folder as the run left it"})
		}
	}
	if err := errs.ErrorOrNil(); err != nil {
		return none, err
	}
	if found[sumKernel] != about.Inputs[sumKernel] {
		return none, &kernels.Lacking{
			What:   fmt.Sprintf("the build of %s that was recorded (vmlinux with SHA-256 %.16s…)", about.Release, about.Inputs[sumKernel]),
			Remedy: "put it into the recording's folder as " + kernelFile,
			Err:    fmt.Errorf("%s has %.16s…", kernel, found[sumKernel]),
		}
	}
	shift := about.Shift
	machine := vm.Config{
		QEMU: qemu, Accel: vm.TCG, CPUs: 1, MemMiB: about.MemMiB,
		Kernel: kernel, Initrd: filepath.Join(dir, initrdFile), Append: about.Append,
		Shift: &shift, NoChannel: true,
	}
	if r.Debugger != "" || r.StopAt > 0 {
		machine.Silence = -1 // a person thinks
	}
	machine = recorded(machine, r.Out, vm.Seed(about.Seed), vm.ExecutionLog{File: filepath.Join(dir, logFile), Replay: true})
	for i, d := range machine.Extra {
		if blob, is := d.(vm.Blob); is {
			blob.File = filepath.Join(dir, planFile)
			machine.Extra[i] = blob
		}
	}
	args, err := portable(machine)
	if err != nil {
		return none, err
	}
	if !slices.Equal(args, about.Machine) {
		return none, &patch.InputError{Path: filepath.Join(dir, RecordingFile), Text: "this version of Switchyard makes another machine than the one that was recorded (" + firstOther(about.Machine, args) + "): replay it with the version that recorded it"}
	}
	// The guest holds still before its first instruction, for whoever has to
	// say where it is to stop.
	machine.Extra = append(machine.Extra, vm.Debugger{Address: orNone(r.Debugger), Paused: true})
	return machine, nil
}

// recordedKernel is the path of the kernel: the one beside the recording, or
// what the catalogue has by that name.
func (y *Yard) recordedKernel(ctx context.Context, about *Recording, dir string) (string, error) {
	beside := filepath.Join(dir, kernelFile)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	found, err := y.Catalogue.Select(ctx, about.Release)
	if err != nil {
		return "", err
	}
	kit, err := y.Kit(ctx, found[0])
	if err != nil {
		return "", err
	}
	return kit.VMLinux, nil
}

func orNone(debugger string) string {
	if debugger == "" {
		return "none"
	}
	return debugger
}

func firstOther(want, have []string) string {
	for i := range min(len(want), len(have)) {
		if want[i] != have[i] {
			return fmt.Sprintf("%q there, %q here", want[i], have[i])
		}
	}
	return fmt.Sprintf("%d arguments there, %d here", len(want), len(have))
}
