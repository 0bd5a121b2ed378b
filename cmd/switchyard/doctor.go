// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// finding is what the doctor says of one thing.
type finding struct {
	what, says string
	err        error // set: it does not work
}

// doctor examines this machine. Each examination is a line of the output.
type doctor struct {
	yard *run.Yard
	qemu string
}

func doctorCommand() *cobra.Command {
	var qemu string
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "What this machine can do, what is missing, and what mends it",
		Example: "  switchyard doctor",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			y, done, err := openYard(cmd, run.Options{QEMU: qemu, Accel: "auto"})
			if err != nil {
				return err
			}
			defer done()
			d := &doctor{yard: y, qemu: qemu}
			h := thisHost()
			return examine(cmd.Context(), cmd.OutOrStdout(), []examination{
				h.kernel, h.cpu, h.memory, d.goCommand, d.cache, d.kernels,
				h.namespaces, d.toolRoot, d.findQEMU, h.kvmDevice, d.kvm,
			})
		},
	}
	cmd.Flags().StringVar(&qemu, "qemu", "", "QEMU to look at: host, tool or a path")
	return cmd
}

type examination func(context.Context) finding

// examine prints a line for each finding, under those that are not well what
// mends them, and at last whether runs are possible.
func examine(ctx context.Context, w io.Writer, all []examination) error {
	bad, slow := 0, false
	for _, look := range all {
		f := look(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		mark, says, mend := "ok", f.says, ""
		if f.err != nil {
			mark, says = "--", f.err.Error()
			var lacking *kernels.Lacking
			if errors.As(f.err, &lacking) {
				says, mend = lacking.What, lacking.Remedy
				if lacking.Err != nil {
					says += ": " + lacking.Err.Error()
				}
			}
			var optional *optionalError
			if errors.As(f.err, &optional) {
				slow = slow || f.what == "kvm"
			} else {
				bad++
			}
		}
		fmt.Fprintf(w, "%-2s  %-11s %s\n", mark, f.what, oneLine(says))
		if mend != "" {
			fmt.Fprintf(w, "    mend:       %s\n", oneLine(mend))
		}
	}
	switch {
	case bad > 0:
		return &kernels.Lacking{What: "something it needs", Remedy: "see the lines marked --"}
	case slow:
		fmt.Fprintln(w, "Runs are possible, by QEMU's own emulation.")
	default:
		fmt.Fprintln(w, "Runs are possible.")
	}
	return nil
}

// oneLine keeps what a program said from breaking the list.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// optionalError is about something that runs can do without.
type optionalError struct{ error }

func (e *optionalError) Unwrap() error { return e.error }

func (d *doctor) goCommand(ctx context.Context) finding {
	out, err := exec.CommandContext(ctx, "go", "version").Output()
	if err != nil {
		err = &kernels.Lacking{What: "the go command", Remedy: "install Go and put it on PATH", Err: err}
	}
	return finding{"go", strings.TrimSpace(string(out)), err}
}

func (d *doctor) cache(context.Context) finding {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.yard.Store.Dir, &fs); err != nil {
		return finding{"cache", "", err}
	}
	free := fs.Bavail * uint64(fs.Bsize)
	f := finding{"cache", fmt.Sprintf("%s, %s free", d.yard.Store.Dir, humanize.Bytes(free)), nil}
	const need = 3 << 29 // two kits, the tool root and what they are unpacked from
	if free < need {
		f.err = &kernels.Lacking{What: fmt.Sprintf("room in %s: %s free", d.yard.Store.Dir, humanize.Bytes(free)), Remedy: "free some space or set SWITCHYARD_CACHE to another disk; two kernels and the tools take about 1.5 GB while they are unpacked"}
	}
	return f
}

func (d *doctor) kernels(ctx context.Context) finding {
	found, err := d.yard.Catalogue.List(ctx)
	if len(found) > 0 {
		err = nil
	}
	here := 0
	for _, c := range found {
		if c.Cached {
			here++
		}
	}
	return finding{"kernels", fmt.Sprintf("%d to be had, %d here", len(found), here), err}
}

func (d *doctor) toolRoot(ctx context.Context) finding {
	root, err := d.yard.Root(ctx)
	if err != nil {
		return finding{"tool root", "", err}
	}
	var out strings.Builder
	err = root.Run(ctx, toolroot.Job{Argv: []string{"gcc-14", "--version"}, Stdout: &out})
	first, _, _ := strings.Cut(out.String(), "\n")
	return finding{"tool root", root.Dir + ", " + first, err}
}

func (d *doctor) findQEMU(ctx context.Context) finding {
	q, err := d.yard.FindQEMU(ctx)
	return finding{"qemu", fmt.Sprintf("%s (%s)", q.Version, q.Origin), err}
}

// kvm runs a guest on it: a /dev/kvm that opens is no proof.
func (d *doctor) kvm(ctx context.Context) finding {
	q, err := d.yard.FindQEMU(ctx)
	if err != nil {
		return finding{"kvm", "", err}
	}
	found, err := d.yard.Catalogue.List(ctx)
	if err != nil && len(found) == 0 {
		return finding{"kvm", "", &optionalError{err}}
	}
	for _, c := range found {
		if !c.Cached {
			continue
		}
		kit, err := d.yard.Catalogue.Get(ctx, c)
		if err != nil {
			return finding{"kvm", "", &optionalError{err}}
		}
		accel, why, err := vm.ChooseAccel(ctx, "auto", q, kit.BootImage(), filepath.Join(d.yard.Store.Dir, "probes"))
		if err != nil {
			return finding{"kvm", "", err}
		}
		if accel != vm.KVM {
			return finding{"kvm", "", &optionalError{noKVM(thisHost(), why)}}
		}
		return finding{"kvm", why, nil}
	}
	return finding{"kvm", "not tried: no kernel is here yet to try it with; `switchyard kernels get 6.12`", nil}
}

// noKVM is why guests run on TCG. Where /dev/kvm does not open, the line about
// that says what mends it.
func noKVM(h host, why string) error {
	err := fmt.Errorf("not used, TCG is (about 10 times slower): %s", why)
	if h.open(filepath.Join(h.root, "dev/kvm")) != nil {
		return err
	}
	return &kernels.Lacking{What: err.Error(), Remedy: "nothing on this machine; take one that is no virtual machine, or whose hypervisor nests KVM properly"}
}
