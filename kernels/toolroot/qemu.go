// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// OldestQEMU is the oldest version that machines are known to work with.
const OldestQEMU = "7.2"

// QEMU is a QEMU to start machines with.
type QEMU struct {
	// Argv is how the command line begins: the program, the dynamic loader
	// in front of it if need be, and the -L options.
	Argv []string
	// DataDir is the folder with bios-256k.bin, linuxboot_dma.bin, pvh.bin;
	// "" if the program knows its own. Argv names it already.
	DataDir string
	// Version is as the program says: "10.0.13".
	Version string
	// Origin says where it is from: "tool", "host", or the path as given.
	Origin string
}

// QEMU gives the QEMU of the tool root, run through the root's own dynamic
// loader, without entering the root. The zero QEMU if the part with QEMU was
// not opened: FindQEMU does that.
func (r *Root) QEMU() QEMU {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.qemu == nil {
		return QEMU{}
	}
	return r.qemu.ownQEMU()
}

func (r *Root) ownQEMU() QEMU {
	in := func(path string) string { return filepath.Join(r.Dir, path) }
	data := in("usr/share/qemu")
	return QEMU{
		Argv: []string{
			in("usr/lib64/ld-linux-x86-64.so.2"), "--library-path", in("usr/lib/x86_64-linux-gnu"),
			in("usr/bin/qemu-system-x86_64"), "-L", data,
		},
		DataDir: data, Origin: "tool",
	}
}

// withQEMU opens the part with QEMU.
func (r *Root) withQEMU(ctx context.Context) error {
	r.mu.Lock()
	have := r.qemu
	r.mu.Unlock()
	if have != nil {
		return nil
	}
	q, err := OpenQEMU(ctx, r.store, r.archive)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.qemu = q
	return nil
}

// FindQEMU chooses the QEMU: "host" is the host's, "tool" the tool root's, a
// path that very program, and "" the host's if it is there and at least
// OldestQEMU, else the tool root's. open opens the tool root (OpenQEMU, or
// Open) and is called only if that is needed.
func FindQEMU(ctx context.Context, choice string, open func() (*Root, error)) (QEMU, error) {
	switch choice {
	case "host":
		return hostQEMU(ctx)
	case "tool":
		return toolQEMU(ctx, open)
	case "":
		if q, err := hostQEMU(ctx); err == nil {
			return q, nil
		}
		return toolQEMU(ctx, open)
	}
	if !strings.Contains(choice, "/") {
		return QEMU{}, fmt.Errorf("QEMU %q: give host, tool, or a path with a slash in it", choice)
	}
	q := QEMU{Argv: []string{choice}, Origin: choice}
	return q.checked(ctx)
}

func hostQEMU(ctx context.Context) (QEMU, error) {
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return QEMU{}, &kernels.Lacking{
			What: "qemu-system-x86_64", Err: err,
			Remedy: "install QEMU " + OldestQEMU + " or newer, or take Switchyard's own with `-qemu tool`",
		}
	}
	return QEMU{Argv: []string{path}, Origin: "host"}.checked(ctx)
}

func toolQEMU(ctx context.Context, open func() (*Root, error)) (QEMU, error) {
	r, err := open()
	if err != nil {
		return QEMU{}, err
	}
	if err := r.withQEMU(ctx); err != nil {
		return QEMU{}, err
	}
	return r.QEMU().checked(ctx)
}

var qemuVersion = regexp.MustCompile(`QEMU emulator version ([0-9]+(\.[0-9]+)+)`)

// checked asks the program for its version.
func (q QEMU) checked(ctx context.Context) (QEMU, error) {
	cmd := exec.CommandContext(ctx, q.Argv[0], append(q.Argv[1:len(q.Argv):len(q.Argv)], "--version")...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return QEMU{}, fmt.Errorf("QEMU %s cannot be started: %w", q.Origin, err)
		}
		return QEMU{}, &kernels.Lacking{What: "a working QEMU", Err: fmt.Errorf("%s --version: %w", strings.Join(q.Argv, " "), err), Remedy: "try another with `-qemu host|tool|PATH`"}
	}
	match := qemuVersion.FindSubmatch(out)
	if match == nil {
		return QEMU{}, fmt.Errorf("QEMU %s: it does not say its version but %q; is it qemu-system-x86_64?", q.Origin, strings.TrimSpace(string(out)))
	}
	q.Version = string(match[1])
	if kernels.CompareVersions(q.Version, OldestQEMU) < 0 {
		return QEMU{}, &kernels.Lacking{
			What:   fmt.Sprintf("a QEMU that is new enough: %s has version %s", q.Argv[0], q.Version),
			Remedy: "update it to " + OldestQEMU + " or newer, or take Switchyard's own with `-qemu tool`",
		}
	}
	return q, nil
}
