// SPDX-License-Identifier: Apache-2.0

package run

import (
	"syscall"

	"github.com/switchyard-project/switchyard/harness/report"
)

// fillResult writes everything but the verdict into the report.
func (x *execution) fillResult() {
	r := &x.result
	r.Engine, r.Expected, r.Repro = "native", string(x.Expected), x.Repro
	r.Kernel = report.Kernel{Release: x.Kernel.Release, Version: x.Kernel.Version, Selector: x.Selector, Source: x.Kernel.Source}
	r.Patch = report.Patch{Name: x.name(), Functions: []report.Function{}}
	if x.kit != nil {
		// Without its config a kernel is still itself; the field stays empty.
		r.Kernel.ConfigSHA256, _ = x.kit.ConfigSHA256()
	}
	for _, m := range x.modules {
		r.Patch.SHA256, r.Patch.Route = m.SHA256, m.Manifest.BuiltBy()
		r.Patch.Warnings = append(r.Patch.Warnings, m.Manifest.Warnings...)
		for _, f := range m.Manifest.Functions {
			r.Patch.Functions = append(r.Patch.Functions, report.Function{Object: f.Object, Name: f.Name, Sympos: f.Sympos})
		}
	}
	if r.Artifacts.Dir = x.Dir; r.Refused() {
		r.Artifacts.Dir = "" // nothing ran that could have left something
	}
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
		r.HostMemByte = self.Maxrss * 1024
	}
	if x.guest != nil {
		x.fillGuest()
	}
}

func (x *execution) fillGuest() {
	g, r := x.guest, &x.result
	r.Accel = string(g.Accel)
	r.Machine = report.Machine{
		Start: g.Origin.Start, SnapshotFailures: g.Origin.Failures, StartWallNS: int64(g.StartWall), StartCPUNS: int64(g.StartCPU),
		VCPUs: g.CPUs, MemMiB: g.MemMiB, QEMU: g.QEMU.Version + " (" + g.QEMU.Origin + ")",
	}
	if g.Origin.Start == StartFork {
		r.Machine.Snapshot = &report.Snapshot{Name: g.Origin.Snapshot, AgeNS: int64(g.Origin.Age)}
	}
	cpu, _ := g.Machine.Usage()
	r.Machine.CPUNS = int64(cpu)
	r.Load = x.loadReports()
	for _, rep := range x.evidence.Reports {
		r.LogReports = append(r.LogReports, report.LogReport{Kind: rep.Kind, Title: rep.Title, Text: rep.Text})
	}
	for i, t := range x.applied {
		if i == len(x.applied)-1 {
			r.Transition.Apply, r.Transition.Revert = phaseReport(t.apply), phaseReport(t.revert)
		}
		if len(x.applied) > 1 {
			r.Stack = append(r.Stack, report.Stacked{Name: t.module.Name, Apply: phaseReport(t.apply), Revert: phaseReport(t.revert)})
		}
		for _, a := range []*Applied{t.apply, t.revert} {
			if a != nil {
				r.Blockers = append(r.Blockers, blockerReports(a)...)
			}
		}
	}
}

func phaseReport(a *Applied) *report.Phase {
	if a == nil || a.Phase == nil {
		return nil
	}
	p := a.Phase
	out := &report.Phase{Done: p.Done(), GuestNS: int64(p.Took()), Rounds: p.Rounds, Signals: len(p.Signals), TasksLeft: p.Left(), Samples: []report.Sample{}}
	for _, s := range p.Samples {
		out.Samples = append(out.Samples, report.Sample{GuestNS: s.T - p.Start, TasksLeft: s.Sample.Left, Tasks: s.Sample.Total})
	}
	return out
}

func blockerReports(a *Applied) []report.Blocker {
	var all []report.Blocker
	for _, b := range a.Blockers {
		r := report.Blocker{
			Task: b.Comm, PID: b.TID, Kind: b.Kind, Reason: b.Reason, Function: b.Function, Stack: b.Stack,
			LastNS: int64(a.Phase.Took()),
		}
		if a.Phase.Rounds != nil {
			r.Rounds = *a.Phase.Rounds
		}
		r.FirstNS = r.LastNS
		for _, e := range a.Phase.Blockers {
			if e.Blocker.TID == b.TID {
				r.FirstNS = e.T - a.Phase.Start
				break
			}
		}
		all = append(all, r)
	}
	return all
}
