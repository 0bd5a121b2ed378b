// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
			var missing error
			for _, examine := range []func(context.Context) finding{d.host, d.goCommand, d.cache, d.kernels, d.toolRoot, d.findQEMU, d.kvm} {
				f := examine(cmd.Context())
				if cause := context.Cause(cmd.Context()); cause != nil {
					return cause
				}
				mark := "ok"
				if f.err != nil {
					mark, f.says = "--", f.err.Error()
					missing = errors.Join(missing, lackingOnly(f.err))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-2s  %-14s %s\n", mark, f.what, f.says)
			}
			if missing != nil {
				return &kernels.Lacking{What: "something it needs", Remedy: "see the lines marked --"}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&qemu, "qemu", "", "QEMU to look at: host, tool or a path")
	return cmd
}

// lackingOnly is err if runs are impossible without what it names.
func lackingOnly(err error) error {
	var optional *optionalError
	if errors.As(err, &optional) {
		return nil
	}
	return err
}

// optionalError is about something that runs can do without.
type optionalError struct{ error }

func (e *optionalError) Unwrap() error { return e.error }

func (d *doctor) host(context.Context) finding {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return finding{"host", fmt.Sprintf("%s, %d cores, uid %d", unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), os.Getuid()), nil}
}

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
			return finding{"kvm", "", &optionalError{fmt.Errorf("not used, TCG is (about 10 times slower): %s", why)}}
		}
		return finding{"kvm", why, nil}
	}
	return finding{"kvm", "not tried: no kernel is here yet to try it with; `switchyard kernels get 6.12`", nil}
}
