// SPDX-License-Identifier: Apache-2.0

// Package images makes the initramfs that a guest boots from: a base image
// with u-root's init and commands, built once, and a segment behind it with
// what changes (the agent, the kernel modules that carry its channel, files
// of one case).
//
// What must not live here: patches and their modules (they reach the guest
// through the channel) and anything about QEMU.
package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/u-root/gobusybox/src/pkg/golang"
	"github.com/u-root/mkuimage/uimage"
	"github.com/u-root/uio/llog"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// commands are u-root's commands in the base image: what a person wants in
// `switchyard shell`, and what a case may run. Each costs build time once and
// image size always, so the list stays short. They are tool lines in go.mod.
var commands = []string{
	"cat", "cp", "dmesg", "echo", "find", "gosh", "grep", "head",
	"hexdump", "init", "insmod", "kill", "ls", "lsmod", "mkdir", "mount",
	"poweroff", "ps", "rm", "rmmod", "sleep", "tail", "umount", "uname",
}

const commandsPath = "github.com/u-root/u-root/cmds/core/"

// Base gives the path of the base image, a newc archive, building it when
// the Go version, go.sum or the list of commands changed.
//
// u-root's own builder (mkuimage, busybox mode) makes it; it does not use
// Go's build cache, which is why the result is kept.
func Base(ctx context.Context, st *store.Store) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return "", fmt.Errorf("base image: %w", err)
	}
	version, err := goCommand(ctx, root, "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "v1 %s %x %s", version, sha256.Sum256(sums), commands))
	dir, err := st.Make(ctx, "images", "base-"+hex.EncodeToString(key[:8]), func(ctx context.Context, dir string) error {
		return buildBase(root, st, filepath.Join(dir, "base.cpio"))
	})
	if err != nil {
		return "", fmt.Errorf("base image: %w", err)
	}
	return filepath.Join(dir, "base.cpio"), nil
}

func buildBase(root string, st *store.Store, out string) error {
	tmp, remove, err := st.Scratch("u-root")
	if err != nil {
		return err
	}
	defer remove()
	var log strings.Builder
	logger := llog.New(slog.LevelInfo, llog.WritePrintf(&log))
	paths := make([]string, len(commands))
	for i, c := range commands {
		// By folder, so that the build does not depend on where it is called
		// from.
		out, err := goCommand(context.Background(), root, "list", "-f", "{{.Dir}}", commandsPath+c)
		if err != nil {
			return err
		}
		paths[i] = out
	}
	err = uimage.Create(logger,
		uimage.WithReplaceEnv(golang.Default(golang.DisableCGO(), golang.WithGOARCH("amd64"), golang.WithWorkingDir(root))),
		uimage.WithBusyboxCommands(paths...),
		uimage.WithInit("init"),
		uimage.WithShell("gosh"),
		uimage.WithTempDir(tmp),
		uimage.WithCPIOOutput(out),
	)
	if err != nil {
		return fmt.Errorf("u-root's builder: %w\n%s", err, log.String())
	}
	return nil
}

// moduleRoot is the folder of this module's sources, from which the agent
// and u-root's commands are built.
func moduleRoot(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok {
		root := filepath.Dir(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	// Built with -trimpath or moved: ask Go where the module is.
	root, err := goCommand(ctx, "", "list", "-m", "-f", "{{.Dir}}", "github.com/switchyard-project/switchyard")
	if err != nil {
		return "", fmt.Errorf("find Switchyard's sources, which the guest's programs are built from: %w", err)
	}
	return root, nil
}

// goCommand runs the go command in dir and gives its trimmed output.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if _, missing := exec.LookPath("go"); missing != nil {
			return "", &kernels.Lacking{What: "the go command", Remedy: "install Go and put it on PATH", Err: missing}
		}
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
