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
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/guard"
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
	key := sha256.Sum256(fmt.Appendf(nil, "v2 %s %x %s", version, sha256.Sum256(sums), commands))
	dir, err := st.Make(ctx, "images", "base-"+hex.EncodeToString(key[:8]), func(ctx context.Context, dir string) error {
		return buildBase(ctx, root, st, filepath.Join(dir, "base.cpio"))
	})
	if err != nil {
		return "", fmt.Errorf("base image: %w", err)
	}
	return filepath.Join(dir, "base.cpio"), nil
}

// builder is u-root's image builder, a tool line of go.mod. It runs as a
// program of its own: it links half a compiler, and its packages leave folders
// behind in whatever program holds them.
const builder = "github.com/u-root/mkuimage/cmd/mkuimage"

func buildBase(ctx context.Context, root string, st *store.Store, out string) error {
	tmp, remove, err := st.Scratch("u-root")
	if err != nil {
		return err
	}
	defer remove()
	args := []string{"tool", builder, "-o", out, "-tmp-dir", filepath.Join(tmp, "build"), "-initcmd", "init", "-defaultsh", "gosh"}
	for _, c := range commands {
		// By folder: the builder looks import paths up in another way.
		dir, err := goCommand(ctx, root, "list", "-f", "{{.Dir}}", commandsPath+c)
		if err != nil {
			return err
		}
		args = append(args, dir)
	}
	if err := os.Mkdir(filepath.Join(tmp, "build"), 0o755); err != nil {
		return err
	}
	// go env GOCACHE must not follow the XDG_CACHE_HOME that is set below.
	cache, err := goCommand(ctx, root, "env", "GOCACHE")
	if err != nil {
		return err
	}
	cmd, err := guard.Command(ctx, nil, "go", args...)
	if err != nil {
		return err
	}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Dir = root
	cmd.Env = append(goEnv(), "TMPDIR="+tmp, "XDG_CACHE_HOME="+tmp, "GOCACHE="+cache)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("u-root's builder: %w\n%s", err, &log)
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

// goEnv is the environment for building what runs in the guest: nothing of the
// caller's own settings may change it.
func goEnv() []string {
	return append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
}

// goCommand runs the go command in dir and gives its trimmed output.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = goEnv()
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
