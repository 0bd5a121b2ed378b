// SPDX-License-Identifier: Apache-2.0

package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/digitalocean/go-qemu/qmp"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// open begins the run's own log. What an earlier run left in the same folder
// must not pass for this one's.
func (x *execution) open() error {
	if err := os.MkdirAll(x.Dir, 0o755); err != nil {
		return err
	}
	if err := Clear(x.Dir); err != nil {
		return err
	}
	log, err := observe.Create(filepath.Join(x.Dir, observe.RunFile), 0)
	if err != nil {
		return err
	}
	x.journal = log
	x.noteIdentity()
	return nil
}

// note puts e into the run's log as it happens. That the log is not whole,
// close tells. What is done once for many runs is in none's log.
func (x *execution) note(e observe.Event) {
	if x.journal == nil {
		return
	}
	e.Clock, e.T = observe.Host, observe.Monotonic()
	_ = x.journal.Append(e)
}

// facts notes fields of the report's run, by their names there.
func (x *execution) facts(fields map[string]any) {
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err) // of a report's own types
	}
	x.note(observe.Event{Kind: observe.KindFacts, Raw: text})
}

// find notes something that the verdict rests on.
func (x *execution) find(of, format string, args ...any) {
	x.note(observe.Event{Kind: observe.KindFinding, Finding: &observe.Finding{Of: of, Text: fmt.Sprintf(format, args...)}})
}

// noteFollowed notes how a transition went.
func (x *execution) noteFollowed(a *Applied) {
	x.note(observe.Event{Kind: observe.KindFollowed, Followed: &observe.Followed{
		Patch: a.Module.Name, To: a.To, Events: a.events, Blockers: a.Blockers,
	}})
}

// noteDeath notes how the machine ended other than as it was asked to.
func (x *execution) noteDeath(err error) {
	d := causeOfDeath(err)
	var death vm.Death
	if errors.As(err, &death) {
		for _, l := range death.Seen().Console {
			d.Console = append(d.Console, l.Text)
		}
	}
	x.note(observe.Event{Kind: observe.KindDeath, Death: d})
}

// heardQEMU notes an event of QEMU's, of a guest whose timeline must repeat.
func (x *execution) heardQEMU(e qmp.Event) { _ = x.journal.Append(qemuEvent(e)) }

// noteIdentity notes what is run, as far as it is known.
func (x *execution) noteIdentity() {
	kernel := report.Kernel{Release: x.Kernel.Release, Version: x.Kernel.Version, Selector: x.Selector, Source: x.Kernel.Source}
	patch := report.Patch{Name: x.name(), Functions: []report.Function{}}
	if x.kit != nil {
		// Without its config a kernel is still itself; the field stays empty.
		kernel.ConfigSHA256, _ = x.kit.ConfigSHA256()
		if canTell(x.kit) {
			kernel.Capabilities = x.kit.Capabilities()
		}
	}
	for _, m := range x.modules {
		patch.SHA256, patch.Route = m.SHA256, m.Manifest.BuiltBy()
		patch.Warnings = append(patch.Warnings, m.Manifest.Warnings...)
		for _, f := range m.Manifest.Functions {
			patch.Functions = append(patch.Functions, report.Function{Object: f.Object, Name: f.Name, Sympos: f.Sympos})
		}
	}
	x.facts(map[string]any{
		"kernel": kernel, "patch": patch, "engine": "native", "expected": x.Expected, "repro": x.Repro,
		"artifacts": report.Artifacts{Dir: x.Dir},
	})
}

// noteMachine notes what the guest is and what it has cost so far.
func (x *execution) noteMachine() {
	g := x.guest
	m := report.Machine{
		Start: g.Origin.Start, SnapshotFailures: g.Origin.Failures, StartWallNS: int64(g.StartWall), StartCPUNS: int64(g.StartCPU),
		VCPUs: g.CPUs, MemMiB: g.MemMiB, QEMU: g.QEMU.Version + " (" + g.QEMU.Origin + ")",
	}
	if g.Origin.Start == StartFork {
		m.Snapshot = &report.Snapshot{Name: g.Origin.Snapshot, AgeNS: int64(g.Origin.Age)}
	}
	if g.Machine != nil {
		cpu, _ := g.Machine.Usage()
		m.CPUNS = int64(cpu)
	}
	x.facts(map[string]any{"accel": g.Accel, "machine": m})
}

// close ends the run, which came to its end with err, and gives what its logs
// tell of it. The error is err, or what kept the logs from being whole.
func (x *execution) close(err error) (report.Run, error) {
	if x.journal == nil {
		return report.Run{}, store.DiskFull(err, x.Dir)
	}
	if x.guest != nil {
		x.noteMachine()
	}
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
		x.facts(map[string]any{"host_max_rss_bytes": self.Maxrss * 1024})
	}
	over := &observe.Over{}
	if err != nil {
		over.Error = err.Error()
	}
	x.note(observe.Event{Kind: observe.KindOver, Over: over})
	x.bundle()
	if lost := x.journal.Close(); lost != nil {
		err = errors.Join(err, fmt.Errorf("keep the evidence in %s: %w", x.Dir, lost))
	}
	r, unread := report.FromLogs(x.Dir)
	if err == nil {
		err = unread
	}
	if x.guest == nil && err != nil && !x.refused { // there is nothing to look at
		_ = os.Remove(filepath.Join(x.Dir, observe.RunFile))
		_ = os.Remove(x.Dir) // if nothing else is in it
	}
	return r, store.DiskFull(err, x.Dir)
}
