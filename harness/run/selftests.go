// SPDX-License-Identifier: Apache-2.0

package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/selftests"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// DefaultScriptTimeout is the host's wall time for one script: a slow machine
// must not fail it, and one that hangs must end.
const DefaultScriptTimeout = 10 * time.Minute

// SelftestPlan is a kernel's own livepatch selftests, once.
type SelftestPlan struct {
	Kernel   kernels.Candidate
	Kit      *kernels.Kit // of Kernel, if the caller has it; else it is fetched
	Selector string       // as the user wrote it
	Scripts  []string     // names; none: all there are
	Guest    GuestConfig  // Kit, Dir and Files are filled in
	Dir      string       // for the artifacts
	// Timeout is the host's wall time for one script; 0: DefaultScriptTimeout.
	Timeout time.Duration
	Repro   string // the command line that does it again
	// Step hears what is being done; may be nil.
	Step func(what string)
}

// selftestRun is a plan while it is carried out.
type selftestRun struct {
	*SelftestPlan
	yard   *Yard
	kit    *kernels.Kit
	suite  *selftests.Suite
	result report.Selftests
	guest  *Guest // nil: the next script needs a new one
	boots  int
}

// Selftests carries out a plan: the scripts as they are, one after the other in
// one guest, as the kernel's own runner does it; where the guest dies, the rest
// gets another. The error is for what kept it from results, as Run's; what
// scripts and guests did is in the result.
func (y *Yard) Selftests(ctx context.Context, p SelftestPlan) (report.Selftests, error) {
	if p.Kit != nil {
		p.Kernel.Release, p.Kernel.Version, p.Kernel.Source = p.Kit.Release, p.Kit.Version, p.Kit.Source
	}
	x := &selftestRun{SelftestPlan: &p, yard: y}
	x.result.Scripts = []report.Script{}
	began := time.Now()
	err := x.run(ctx)
	x.result.ElapsedNS = int64(time.Since(began))
	x.result.Kernel = report.Kernel{Release: p.Kernel.Release, Version: p.Kernel.Version, Selector: p.Selector, Source: p.Kernel.Source}
	if x.kit != nil {
		x.result.Kernel.ConfigSHA256, _ = x.kit.ConfigSHA256() // stays empty without a config
	}
	x.result.Artifacts.Dir, x.result.Repro = p.Dir, p.Repro
	return x.result, store.DiskFull(err, p.Dir)
}

func (x *selftestRun) run(ctx context.Context) (err error) {
	err = x.step(stepKernel, func() (err error) {
		if x.kit = x.Kit; x.kit == nil {
			x.kit, err = x.yard.Kit(ctx, x.Kernel)
		}
		return err
	})
	if err != nil {
		return err
	}
	var scripts []string
	err = x.step("build its selftests", func() (err error) {
		if x.suite, err = x.yard.selftestSuite(ctx, x.kit); err == nil {
			scripts, err = x.suite.Select(x.Scripts...)
		}
		return err
	})
	if err != nil {
		return err
	}
	x.result.Modules = x.suite.Modules
	defer func() {
		if x.guest != nil {
			err = errors.Join(err, x.close(ctx))
		}
	}()
	for _, name := range scripts {
		if x.guest == nil {
			if err := x.step(stepBoot, func() error { return x.boot(ctx) }); err != nil {
				return err
			}
		}
		var script report.Script
		err := x.step(name, func() (err error) {
			script, err = x.script(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
		x.result.Scripts = append(x.result.Scripts, script)
	}
	return nil
}

func (x *selftestRun) step(name string, do func() error) error {
	if x.Step != nil {
		x.Step(name)
	}
	began := time.Now()
	err := do()
	s := report.Step{Name: name, WallNS: int64(time.Since(began))}
	if err != nil {
		s.Error = err.Error()
	}
	x.result.Steps = append(x.result.Steps, s)
	return err
}

// selftestArgs are for the guest's kernel.
var selftestArgs = []string{
	// A script compares what is in the log before and after, and the livepatch
	// core, told to, says a lot.
	"log_buf_len=4M",
	// An emulated CPU on a busy host may not get its turn for 21 s, and scripts
	// take minutes. Whoever hangs for this long (s, the most that the kernel
	// takes) is told before the script's own time is over.
	"rcupdate.rcu_cpu_stall_timeout=300",
}

// boot starts a guest. It is no fork: an image that one command uses is not
// worth a snapshot of 100 MB.
func (x *selftestRun) boot(ctx context.Context) error {
	cfg := x.Guest
	cfg.Kit, cfg.Dir, cfg.Cold = x.kit, x.Dir, true
	cfg.Files = append(cfg.Files, x.suite.Files...)
	cfg.Append = append(cfg.Append, selftestArgs...)
	if x.boots++; x.boots > 1 {
		cfg.Dir = filepath.Join(x.Dir, fmt.Sprintf("boot-%d", x.boots))
	}
	guest, err := x.yard.Boot(ctx, cfg)
	if err != nil {
		return err
	}
	x.guest = guest
	if x.boots == 1 {
		x.result.Accel = string(guest.Accel)
		x.result.Machine = report.Machine{
			Start: guest.Origin.Start, StartWallNS: int64(guest.StartWall), StartCPUNS: int64(guest.StartCPU),
			VCPUs: guest.CPUs, MemMiB: guest.MemMiB, QEMU: guest.QEMU.Version + " (" + guest.QEMU.Origin + ")",
		}
	}
	return nil
}

func (x *selftestRun) close(ctx context.Context) error {
	cpu, _ := x.guest.Machine.Usage()
	x.result.Machine.CPUNS += int64(cpu)
	err := x.guest.Close(ctx)
	x.guest = nil
	return err
}

// script runs one script. The error is for what is not the guest's doing.
func (x *selftestRun) script(ctx context.Context, name string) (report.Script, error) {
	s := report.Script{Name: name, Expected: string(selftests.OK), Log: name + ".log"}
	if why, known := selftests.KnownSkip(x.kit, name); known {
		s.Expected, s.Known = string(selftests.Skip), why
	}
	began, mark := time.Now(), x.guest.rec.mark()
	x.guest.rec.action("selftest", name, "begin", nil)
	timeout := cmp.Or(x.Timeout, DefaultScriptTimeout)
	scriptCtx, cancel := context.WithTimeoutCause(ctx, timeout, &overdue{timeout})
	defer cancel()
	// One stream, for what goes wrong is read in its order; into a file, so that
	// it is there of a script that had to be ended.
	log := path.Join("/tmp", s.Log)
	out, err := x.guest.Client.RunCommand(scriptCtx, channel.RunCommand{
		Argv: []string{"sh", "-c", "exec ./" + name + " >" + log + " 2>&1"}, Dir: selftests.Dir,
		Env: selftests.Environment,
	})
	x.guest.rec.action("selftest", name, "end", err)
	s.WallNS = int64(time.Since(began))
	if cause := context.Cause(ctx); cause != nil {
		return s, cause
	}
	wrote, lost := x.guest.Client.ReadFile(ctx, log)
	if err == nil {
		err = lost
	}
	if err := os.WriteFile(filepath.Join(x.Dir, s.Log), wrote, 0o644); err != nil {
		return s, fmt.Errorf("keep what %s wrote: %w", name, err)
	}
	if err == nil {
		err = x.guest.Fence(ctx)
	}
	o := selftests.Read(string(wrote), out.Status)
	s.Result, s.Reason, s.Status = string(o.Result), o.Reason, out.Status
	for _, t := range o.Tests {
		s.Tests = append(s.Tests, report.ScriptTest{Name: t.Name, Result: string(t.Result)})
	}
	if err != nil {
		return s, x.broken(ctx, &s, err)
	}
	for _, r := range check.Reports(x.guest.kernelLogSince(mark)) {
		s.LogReports = append(s.LogReports, report.LogReport{Kind: r.Kind, Title: r.Title, Text: r.Text})
		s.Result, s.Reason = string(selftests.Fail), "the kernel reported: "+r.Title
	}
	return s, nil
}

// killedStatus is the exit status of a script that came to none of its own, as a
// shell has it: 128 and SIGKILL.
const killedStatus = 128 + 9

// overdue is a script that had to be ended.
type overdue struct{ after time.Duration }

func (e *overdue) Error() string { return fmt.Sprintf("it had not ended after %v", e.after) }

// broken is a script that came to no end of its own: the guest died of it, or
// it was ended. The next one gets a new guest.
func (x *selftestRun) broken(ctx context.Context, s *report.Script, err error) error {
	err = x.guest.orDeath(err)
	var death vm.Death
	var late *overdue
	if !errors.As(err, &death) && !errors.As(err, &late) {
		return err
	}
	s.Result, s.Reason, s.Status = string(selftests.Fail), err.Error(), killedStatus
	if late != nil {
		s.Reason = late.Error()
	}
	for _, r := range check.Reports(x.guest.KernelLog()) {
		s.LogReports = append(s.LogReports, report.LogReport{Kind: r.Kind, Title: r.Title, Text: r.Text})
	}
	_ = x.close(ctx) // its death is told
	return nil
}

// kernelLogSince is KernelLog from a mark of the timeline on.
func (g *Guest) kernelLogSince(mark int) (lines []string) {
	for _, e := range g.rec.since(mark) {
		if e.KernelLog != nil && e.KernelLog.Facility == 0 {
			lines = append(lines, e.KernelLog.Text)
		}
	}
	return lines
}

// selftestSuite makes the selftests of kit's kernel.
func (y *Yard) selftestSuite(ctx context.Context, kit *kernels.Kit) (*selftests.Suite, error) {
	b := selftests.Builder{
		Store: y.Store, Source: y.sourceFolder, Root: y.Root,
		Userland: func(ctx context.Context) (*toolroot.Root, error) {
			return toolroot.OpenUserland(ctx, y.Store, y.archive)
		},
	}
	return b.Build(ctx, kit)
}

// sourceFolder gives a folder of the source that a kernel was built from.
func (y *Yard) sourceFolder(ctx context.Context, kit *kernels.Kit, dir string) (string, error) {
	t, err := tree.Open(ctx, tree.Deps{Store: y.Store, Archive: y.archive, Root: y.Root, Progress: y.Progress}, kit)
	if err != nil {
		return "", err
	}
	return t.Extract(ctx, dir)
}
