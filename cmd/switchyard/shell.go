// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/harness/vm"
)

func shellCommand() *cobra.Command {
	var (
		machine machineFlags
		kernel  string
		patches []string
		gdb     gdbFlag
	)
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "A VM to look around in",
		Long: `Boot a kernel and give a shell on its console. The modules of -patch are built
and loaded first. Leave with ctrl-] or by powering the guest off.`,
		Example: `  switchyard shell -kernel 6.1
  switchyard shell -kernel 6.12 -patch fix/
  switchyard shell -kernel 6.12 -patch fix/ -gdb    and a door for gdb, with symbols and types`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := machine.check(); err != nil {
				return err
			}
			if err := gdb.check(); err != nil {
				return err
			}
			var sources []*patch.Source
			for _, path := range patches {
				src, err := patch.Open(path)
				if err != nil {
					return err
				}
				sources = append(append(sources, patch.Needed(src)...), src)
			}
			y, done, err := openYard(cmd, run.Options{QEMU: machine.qemu, Accel: machine.accel, Route: machine.route})
			if err != nil {
				return err
			}
			defer done()
			return runShell(cmd, y, done, &machine, &gdb, kernel, sources)
		},
	}
	machine.register(cmd)
	gdb.register(cmd)
	cmd.Flags().StringVar(&kernel, "kernel", "6.12", "the kernel to boot")
	cmd.Flags().StringArrayVar(&patches, "patch", nil, "patch or module to load first; may be repeated")
	return cmd
}

// leave is the byte that ends the shell: ctrl-], as telnet has it.
const leave = 0x1d

func runShell(cmd *cobra.Command, y *run.Yard, done func(), machine *machineFlags, gdb *gdbFlag, kernel string, sources []*patch.Source) error {
	ctx := cmd.Context()
	found, err := y.Catalogue.Select(ctx, kernel)
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return usageError{fmt.Errorf("-kernel %s names %d kernels; a shell is on one", kernel, len(found))}
	}
	kit, err := y.Catalogue.Get(ctx, found[0])
	if err != nil {
		return err
	}
	dir, remove, err := y.Store.Scratch("shell")
	if err != nil {
		return err
	}
	defer remove()
	cfg := machine.guest()
	cfg.Kit, cfg.Dir, cfg.Shell = kit, dir, true
	cfg.Silence = -1     // somebody may think for a while
	cfg.Companion = true // and must not keep tests from running
	guest, err := y.Boot(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = guest.Close(ctx)
	}()
	var modules []*patch.Module
	for i, src := range sources {
		m, err := y.Builder.Build(ctx, src, kit, patch.Below(sources, i)...)
		if err != nil {
			return err
		}
		if err := guest.Insert(ctx, m, ""); err != nil {
			return err
		}
		modules = append(modules, m)
	}
	var attach string
	if gdb.wanted() {
		path, err := y.Debug(ctx, guest, gdb.place(), modules...)
		if err != nil {
			return err
		}
		attach = gdbLine(path)
	}
	done()
	fmt.Fprintf(cmd.ErrOrStderr(), "%s, %d vCPUs, %s; ctrl-] leaves\n%s", kit.Release, guest.CPUs, guest.Accel, attach)
	return converse(ctx, guest, cmd.InOrStdin(), cmd.OutOrStdout())
}

// converse joins the terminal and the guest's console until the user leaves,
// the input ends or the guest does.
func converse(ctx context.Context, guest *run.Guest, in io.Reader, out io.Writer) error {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		old, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return fmt.Errorf("set up the terminal: %w", err)
		}
		defer term.Restore(int(f.Fd()), old)
	}
	console := guest.Machine.Serial()
	detach := console.Attach(out)
	defer detach()
	left := make(chan error, 1)
	go func() {
		buf := make([]byte, 256)
		for {
			n, err := in.Read(buf)
			for _, b := range buf[:n] {
				if b == leave {
					left <- nil
					return
				}
				if _, err := guest.Machine.Type([]byte{b}); err != nil {
					left <- err
					return
				}
			}
			if err != nil { // a script's end of input
				left <- nil
				return
			}
		}
	}()
	select {
	case err := <-left:
		return err
	case <-guest.Machine.Done():
		var off *vm.GuestShutdown
		if err := guest.Machine.Wait(); err != nil && !errors.As(err, &off) {
			return err
		}
		return nil // somebody powered it off
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
