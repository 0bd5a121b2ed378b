// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/harness/debugger"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Stalled is a guest in the middle of a transition that was found to have
// stalled, for Plan.OnStall: it may be looked at, and stopped, and is let go
// on when that returns.
type Stalled struct {
	*Guest
	Applied *Applied
	// Modules are loaded: those that were there first, and the patches.
	Modules []*patch.Module
}

// onStall lets somebody look at the first stall of a run.
func (x *execution) onStall(ctx context.Context, a *Applied) error {
	if x.OnStall == nil || x.looked || a.Phase == nil || a.Done() {
		return nil
	}
	x.looked = true
	modules := append([]*patch.Module{}, x.with...)
	for _, t := range x.applied {
		modules = append(modules, t.module)
	}
	if x.Step != nil { // a part of the step that stalled
		x.Step(stepStall)
	}
	x.guest.rec.action("on-stall", a.Module.Name, "begin", nil)
	err := x.OnStall(ctx, Stalled{Guest: x.guest, Applied: a, Modules: modules})
	x.guest.rec.action("on-stall", a.Module.Name, "end", err)
	return err
}

// Debug opens the guest to gdb at address ("tcp:HOST:PORT", "unix:PATH"; "" for
// a socket in the guest's folder) and gives the path of a program, in the
// guest's folder, that has gdb attach there with the kernel's symbols and those
// of modules, which are loaded. Errors: *kernels.Lacking.
func (y *Yard) Debug(ctx context.Context, g *Guest, address string, modules ...*patch.Module) (attach string, err error) {
	symbols, err := debugger.Symbols(ctx, y.Store, y.Root, g.Kit)
	if err != nil {
		return "", err
	}
	s := debugger.Session{Symbols: symbols}
	if s.GDB, s.Env, err = y.gdb(ctx); err != nil {
		return "", err
	}
	for _, m := range modules {
		sections, err := g.sections(ctx, m.Name)
		if err != nil {
			return "", fmt.Errorf("where %s lies: %w", m.Name, g.orDeath(err))
		}
		s.Modules = append(s.Modules, debugger.Module{Path: m.Path, Sections: sections})
	}
	dir, err := filepath.Abs(g.Dir)
	if err != nil {
		return "", err
	}
	if address == "" {
		if address, err = socketIn(dir); err != nil {
			return "", err
		}
	}
	if err := g.Machine.Debug(ctx, address); err != nil {
		return "", err
	}
	_, s.Target, _ = strings.Cut(address, ":")
	return s.Write(dir)
}

// gdb is the host's, or else the tool root's.
func (y *Yard) gdb(ctx context.Context) (argv, env []string, err error) {
	if path, err := exec.LookPath("gdb"); err == nil {
		return []string{path}, nil, nil
	}
	d, err := toolroot.OpenDebugger(ctx, y.Store, y.archive)
	return d.GDB, d.Env, err
}

// longestSocket is what a socket's path may have in bytes (unix(7), sun_path).
const longestSocket = 107

func socketIn(dir string) (string, error) {
	path := filepath.Join(dir, gdbSocket)
	if len(path) > longestSocket {
		return "", &kernels.Lacking{
			What: "a short path for gdb's socket", Remedy: "name an address: -gdb=tcp:localhost:1234, or -gdb=unix:/tmp/gdb.sock",
			Err: fmt.Errorf("%s is longer than the %d bytes that a socket's path may have", path, longestSocket),
		}
	}
	return "unix:" + path, nil
}

// sections are the sections of a loaded module and where they lie.
func (g *Guest) sections(ctx context.Context, module string) (map[string]uint64, error) {
	entries, err := g.Client.ReadDir(ctx, "/sys/module/"+module+"/sections")
	if err != nil {
		return nil, err
	}
	all := map[string]uint64{}
	for _, e := range entries {
		if at, ok := g.Section(ctx, module, e.Name); ok {
			all[e.Name] = at
		}
	}
	return all, nil
}

// Dump writes the guest's memory to path, as an ELF core that crash and drgn
// open with a vmlinux that has debugging information. warning says what they
// will miss, "" for nothing.
func (g *Guest) Dump(ctx context.Context, path string) (warning string, err error) {
	// Asked before: the note's place does not change while the guest lives.
	told, asked := g.Client.ReadFile(ctx, "/sys/kernel/vmcoreinfo")
	if err := g.Machine.Dump(ctx, path); err != nil {
		return "", g.orDeath(err)
	}
	var address, size uint64
	if asked == nil {
		_, asked = fmt.Sscanf(string(told), "0x%x %x", &address, &size)
	}
	if asked != nil {
		return fmt.Sprintf("the kernel's own note (VMCOREINFO) is not in %s: %v", path, g.orDeath(asked)), nil
	}
	return "", debugger.AddVMCoreInfo(path, address, size)
}
