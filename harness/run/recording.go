// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// The files of a recorded run in its folder, besides those of a deterministic
// one. With RecordingFile they are all that a replay needs but QEMU and the
// kernel; a vmlinux beside them is taken in the place of the catalogue's.
const (
	RecordingFile = "recording.json"
	logFile       = "execution.log"
	initrdFile    = "initramfs.cpio"
	kernelFile    = "vmlinux"
)

const recordingSchema = "switchyard.recording/1"

// Recording is what must be the same where a recorded run is replayed, and how
// the run ended. Sums are SHA-256.
type Recording struct {
	Schema  string         `json:"schema"`
	Release string         `json:"release"` // uname -r
	QEMU    string         `json:"qemu"`    // its version
	Seed    int64          `json:"seed"`
	Shift   int            `json:"shift"` // an instruction takes 2^Shift ns
	MemMiB  int            `json:"mem_mib"`
	Append  []string       `json:"append"`  // kernel arguments behind the machine's own
	Machine []string       `json:"machine"` // QEMU's arguments, without the host's paths
	Inputs  Sums           `json:"inputs"`
	Modules []RecordedFile `json:"modules"` // they lie in the plan
	// Outputs are what the guest wrote.
	Outputs Sums `json:"outputs"`
	// Marks tell which lines of the console were there after how many
	// instructions: for who wants to stop a replay near one. They are looked for
	// a few times a second only.
	Marks []Mark `json:"marks"`
}

// Sums are of files, by what they are.
type Sums map[string]string

// The keys of Sums.
const (
	sumKernel  = "kernel"
	sumInitrd  = "initrd"
	sumPlan    = "plan"
	sumLog     = "execution log"
	sumConsole = "console"
	sumResults = "results"
)

// RecordedFile is a file that a run was made of.
type RecordedFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Mark is a moment of a recorded run.
type Mark struct {
	Instructions int64  `json:"instructions"`
	Console      string `json:"console"` // the last line
}

// mostMarks bounds the marks of a guest that never stops talking.
const mostMarks = 10000

// Record carries out a plan as Deterministic does, in a guest that is booted
// for it, while QEMU keeps its log of everything that is not the guest's own
// doing. Replay plays it. A run that its host had to end has no recording.
func (y *Yard) Record(ctx context.Context, p Plan, seed int64) (report.Run, error) {
	x := newRehearsal(y, p)
	err := x.open()
	if err == nil {
		err = x.prepare(ctx)
	}
	if err == nil {
		rec := &recording{execution: x}
		err = x.rehearse(ctx, seed, rec.boot)
		if x.guest != nil && ctx.Err() == nil {
			err = errors.Join(err, rec.keep())
		}
	}
	return x.close(err)
}

// recording is a recorded run while it goes on.
type recording struct {
	*execution
	machine vm.Config
	shift   int
	plan    *mailbox.Plan
	marked  chan []Mark
}

// boot starts the guest with the plan in its mailbox.
func (r *recording) boot(ctx context.Context, plan *mailbox.Plan, shift int) error {
	cfg := r.Guest
	cfg.Kit, cfg.Dir = r.kit, r.Dir
	machine, err := r.yard.mailboxMachine(ctx, cfg, shift)
	if err != nil {
		return err
	}
	blob, err := mailbox.Encode(*plan)
	if err != nil {
		return err
	}
	if err := writePlan(r.Dir, blob); err != nil {
		return err
	}
	initrd := filepath.Join(r.Dir, initrdFile)
	if err := store.CopyFile(machine.Initrd, initrd); err != nil {
		return err
	}
	machine.Initrd = initrd
	machine.Heard = r.heardQEMU
	r.machine = recorded(machine, r.Dir, vm.Seed(plan.Seed), vm.ExecutionLog{File: filepath.Join(r.Dir, logFile)})
	r.plan, r.shift = plan, shift
	began := time.Now()
	m, err := vm.Start(ctx, r.machine)
	if err != nil {
		return err
	}
	m.ExpectShutdown()
	if err := r.takeGuest(m, r.machine, began, Origin{Start: StartCold}); err != nil {
		return err
	}
	r.marked = make(chan []Mark, 1)
	go func() { r.marked <- marks(m) }()
	return nil
}

// recorded has machine, one with a mailbox, write its results to dir and keep
// or play log. Nobody saves it, so its watchdog stops nothing.
func recorded(machine vm.Config, dir string, seed vm.Seed, log vm.ExecutionLog) vm.Config {
	machine = withMailbox(machine, dir, seed)
	i := slices.IndexFunc(machine.Extra, func(d vm.Device) bool { return d == vm.Watchdog{} })
	machine.Extra[i] = vm.IgnoredWatchdog{}
	machine.Log = &log
	return machine
}

// marks looks at the console until the machine's end.
func marks(m *vm.Machine) (all []Mark) {
	tick := time.NewTicker(resultsEvery)
	defer tick.Stop()
	for last := ""; ; {
		select {
		case <-m.Done():
			return all
		case <-tick.C:
		}
		n, err := m.Instructions(context.Background())
		lines, _ := m.Serial().Lines(1)
		if err != nil || len(lines) == 0 || lines[0].Text == last || len(all) == mostMarks {
			continue
		}
		last = lines[0].Text
		all = append(all, Mark{Instructions: n, Console: last})
	}
}

// keep writes what a replay has to know, if there is something to replay.
func (r *recording) keep() error {
	all := <-r.marked
	if errors.Is(r.machine.Log.Whole(), vm.ErrLogUnfinished) {
		r.find(observe.FoundWarning, "the recording is of no use, as QEMU had to be killed")
		return nil
	}
	args, err := portable(r.machine)
	if err != nil {
		return err
	}
	about := Recording{
		Schema: recordingSchema, Release: r.kit.Release, QEMU: r.machine.QEMU.Version,
		Seed: r.plan.Seed, Shift: r.shift, MemMiB: r.machine.MemMiB, Append: r.machine.Append,
		Machine: args, Modules: []RecordedFile{}, Marks: append([]Mark{}, all...),
	}
	with := slices.Clone(r.with)
	if r.timer != nil {
		with = append(with, r.timer)
	}
	for _, m := range append(with, r.modules...) {
		about.Modules = append(about.Modules, RecordedFile{Name: m.Name, SHA256: m.SHA256})
	}
	if about.Inputs, err = inputs(r.Dir, r.machine.Kernel); err != nil {
		return err
	}
	if about.Outputs, err = outputs(r.Dir); err != nil {
		return err
	}
	text, err := json.MarshalIndent(about, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(r.Dir, RecordingFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	r.facts(map[string]any{"artifacts": report.Artifacts{Dir: r.Dir, Recording: RecordingFile}})
	return nil
}

// portable are the arguments of a machine without what they say of the host:
// where its files lie, and which QEMU it is.
func portable(machine vm.Config) ([]string, error) {
	args, err := vm.Args(machine)
	if err != nil {
		return nil, err
	}
	args = args[len(machine.QEMU.Argv):]
	if i := slices.Index(args, "-L"); i >= 0 {
		args = slices.Delete(args, i, i+2)
	}
	for i, arg := range args {
		for _, file := range []struct{ path, name string }{{machine.Kernel, "KERNEL"}, {filepath.Dir(machine.Initrd), "DIR"}, {machine.Dir, "DIR"}} {
			arg = strings.ReplaceAll(arg, strings.ReplaceAll(file.path, ",", ",,"), file.name)
		}
		args[i] = strings.Replace(arg, "rr=replay", "rr=record", 1)
	}
	return args, nil
}

func inputs(dir, kernel string) (Sums, error) {
	all := Sums{}
	for what, path := range map[string]string{
		sumKernel: kernel, sumInitrd: filepath.Join(dir, initrdFile),
		sumPlan: filepath.Join(dir, planFile), sumLog: filepath.Join(dir, logFile),
	} {
		sum, err := store.HashFile(path)
		if err != nil {
			return nil, err
		}
		all[what] = sum
	}
	return all, nil
}

// output is what a guest wrote into its machine's folder.
func output(dir, what string) ([]byte, error) {
	if what == sumConsole {
		return vm.ConsoleText(dir)
	}
	return os.ReadFile(filepath.Join(dir, resultsFile))
}

func outputs(dir string) (Sums, error) {
	all := Sums{}
	for _, what := range []string{sumConsole, sumResults} {
		text, err := output(dir, what)
		if err != nil {
			return nil, err
		}
		all[what] = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	return all, nil
}

// readRecording reads what Record wrote into dir.
func readRecording(dir string) (*Recording, error) {
	text, err := os.ReadFile(filepath.Join(dir, RecordingFile))
	if err != nil {
		return nil, &patch.InputError{Path: dir, Text: "holds no " + RecordingFile + ": give the folder of a run with -record that ended by itself", Err: err}
	}
	r := &Recording{}
	if err := json.Unmarshal(text, r); err != nil || r.Schema != recordingSchema {
		return nil, &patch.InputError{Path: filepath.Join(dir, RecordingFile), Text: fmt.Sprintf("is not a %s: it was damaged, or another version of Switchyard wrote it", recordingSchema), Err: err}
	}
	return r, nil
}
