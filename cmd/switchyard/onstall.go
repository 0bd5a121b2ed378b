// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/run"
)

// gdbFlag is -gdb of verbs that keep a guest for a person.
type gdbFlag struct{ address string }

// ownSocket is the value of -gdb without one.
const ownSocket = "socket"

func (f *gdbFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.address, "gdb", "", "let gdb attach, with the kernel's symbols and types and those of the modules; -gdb=tcp:HOST:PORT or -gdb=unix:PATH says where (default: a socket of its own)")
	cmd.Flags().Lookup("gdb").NoOptDefVal = ownSocket
}

func (f *gdbFlag) wanted() bool { return f.address != "" }

func (f *gdbFlag) check() error {
	kind, rest, _ := strings.Cut(f.address, ":")
	switch {
	case f.address == "", f.address == ownSocket, kind == "tcp" && strings.Contains(rest, ":"), kind == "unix" && rest != "":
		return nil
	}
	return usageError{fmt.Errorf("-gdb=%s: must be tcp:HOST:PORT or unix:PATH", f.address)}
}

// place is the address for run.Yard.Debug.
func (f *gdbFlag) place() string {
	if f.address == ownSocket {
		return ""
	}
	return f.address
}

// gdbLine tells how to attach.
func gdbLine(attach string) string {
	return fmt.Sprintf("  %s    attaches gdb: info threads, bt, switchyard tasks left, switchyard stack TID, switchyard patches\n", shellescape.Quote(attach))
}

// What -on-stall can ask for.
const (
	stallPause = "pause"
	stallDump  = "dump"
	stallShell = "shell"
)

var stallActions = []string{stallPause, stallDump, stallShell}

// onStallFlag is -on-stall of `switchyard run`.
type onStallFlag struct {
	onStall string
	cmd     *cobra.Command // whose input and output a person is at
	person  sync.Mutex     // looks at one guest at a time
}

const onStallExample = `  switchyard run fix/ -kernel 6.1 -on-stall pause   keep the guest as it stalled, for gdb`

func (f *onStallFlag) register(cmd *cobra.Command) {
	f.cmd = cmd
	cmd.Flags().StringVar(&f.onStall, "on-stall", "", `at a stall: pause (the guest stands still for gdb until Enter is pressed), dump (write its memory, for crash and drgn) or shell (on its console)`)
	_ = cmd.RegisterFlagCompletionFunc("on-stall", cobra.FixedCompletions(stallActions, cobra.ShellCompDirectiveNoFileComp))
	cmd.Example += "\n" + onStallExample
}

func (f *onStallFlag) check(deterministic bool) error {
	switch {
	case f.onStall == "":
		return nil
	case !slices.Contains(stallActions, f.onStall):
		return usageError{fmt.Errorf("-on-stall %s: must be %s", f.onStall, strings.Join(stallActions, ", "))}
	case deterministic:
		return usageError{errors.New("-on-stall looks into a guest in the middle of a run, which nobody can talk to in a deterministic one: leave one of the two away")}
	}
	return nil
}

// into puts what is asked for into a plan.
func (f *onStallFlag) into(p *run.Plan, y *run.Yard, scr *screen) {
	switch f.onStall {
	case "":
		return
	case stallPause:
		p.Guest.Silence = -1 // a person thinks
	case stallShell:
		p.Guest.Silence = -1
		p.Guest.Shell = true
	}
	p.OnStall = func(ctx context.Context, s run.Stalled) error {
		f.person.Lock()
		defer f.person.Unlock()
		scr.note(fmt.Sprintf("%s: %v", s.Kit.Release, s.Applied.Outcome()))
		switch f.onStall {
		case stallDump:
			return dumpStalled(ctx, s, scr)
		case stallShell:
			scr.note(fmt.Sprintf("%s: a shell in the stalled guest; ctrl-] lets the run go on", s.Kit.Release))
			return converse(ctx, s.Guest, f.cmd.InOrStdin(), f.cmd.ErrOrStderr())
		}
		return pauseStalled(ctx, y, s, f.cmd.InOrStdin(), scr)
	}
}

func dumpStalled(ctx context.Context, s run.Stalled, scr *screen) error {
	path := filepath.Join(s.Dir, run.DumpFile)
	warning, err := s.Dump(ctx, path)
	if err != nil {
		return err
	}
	if warning != "" {
		scr.note(warning)
	}
	scr.note(fmt.Sprintf("%s: the guest's memory is in %s; with a vmlinux that has debugging information:\n  crash VMLINUX %s\n  drgn -c %s -s VMLINUX", s.Kit.Release, path, shellescape.Quote(path), shellescape.Quote(path)))
	return nil
}

func pauseStalled(ctx context.Context, y *run.Yard, s run.Stalled, in io.Reader, scr *screen) error {
	attach, err := y.Debug(ctx, s.Guest, "", s.Modules...)
	if err != nil {
		return err
	}
	if err := s.Machine.Stop(ctx); err != nil {
		return s.Explain(err)
	}
	scr.note(fmt.Sprintf("%s: the guest stands still; Enter lets it go on\n%s", s.Kit.Release, gdbLine(attach)))
	pressed := make(chan struct{})
	go func() {
		defer close(pressed)
		_, _ = bufio.NewReader(in).ReadString('\n') // the input's end lets it go on as well
	}()
	select {
	case <-pressed:
	case <-s.Machine.Done():
		return nil // gdb's `kill`; the run tells it
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return s.Explain(s.Machine.Cont(ctx))
}
