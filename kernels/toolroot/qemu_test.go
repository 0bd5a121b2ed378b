// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/guard"
)

// buildTime is a moment in the past.
var buildTime = time.Unix(1700000000, 0)

// program writes a shell script called qemu-system-x86_64.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qemu-system-x86_64")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

func TestFindQEMU(t *testing.T) {
	errOpened := errors.New("the tool root was asked for")
	open := func() (*Root, error) { return nil, errOpened }
	good := program(t, `echo "QEMU emulator version 7.2.19 (Debian 1:7.2)"`)
	old := program(t, `echo "QEMU emulator version 6.2.0"`)
	newer := program(t, `echo "QEMU emulator version 10.0.3"`)
	other := program(t, `echo hello`)
	broken := program(t, `echo no such library >&2; exit 127`)
	for name, c := range map[string]struct {
		path, choice string
		want         QEMU
		err          string
		opens        bool
	}{
		"host's":                  {path: good, want: QEMU{Argv: []string{good}, Version: "7.2.19", Origin: "host"}},
		"host's, two digits":      {path: newer, want: QEMU{Argv: []string{newer}, Version: "10.0.3", Origin: "host"}},
		"host's is too old":       {path: old, opens: true},
		"host's is broken":        {path: broken, opens: true},
		"host has none":           {path: "/nowhere/x", opens: true},
		"told to take the host's": {path: old, choice: "host", err: "6.2.0"},
		"host, and none there":    {path: "/nowhere/x", choice: "host", err: "-qemu tool"},
		"told to take the tool's": {path: good, choice: "tool", opens: true},
		"a path":                  {path: old, choice: good, want: QEMU{Argv: []string{good}, Version: "7.2.19", Origin: good}},
		"a path, too old":         {path: good, choice: old, err: "6.2.0"},
		"a path to nothing":       {path: good, choice: "/nowhere/q", err: "cannot be started"},
		"a path to another thing": {path: good, choice: other, err: "hello"},
		"a path to a broken one":  {path: good, choice: broken, err: "no such library"},
		"a word":                  {path: good, choice: "best", err: "host, tool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", filepath.Dir(c.path)+":/usr/bin:/bin")
			if !strings.HasPrefix(c.path, "/tmp") { // nor any that this machine may have
				t.Setenv("PATH", "/nowhere")
			}
			q, err := FindQEMU(t.Context(), c.choice, open)
			switch {
			case c.opens:
				require.ErrorIs(t, err, errOpened)
			case c.err != "":
				require.ErrorContains(t, err, c.err)
			default:
				require.NoError(t, err)
				assert.Equal(t, c.want, q)
			}
		})
	}
}

// The tool's own QEMU starts a real kernel.
func TestToolQEMUBoots(t *testing.T) {
	st, ar := realArchive(t)
	q, err := FindQEMU(t.Context(), "tool", func() (*Root, error) { return OpenQEMU(t.Context(), st, ar) })
	unlessLacking(t, err)
	assert.Equal(t, "tool", q.Origin)
	assert.GreaterOrEqual(t, kernels.CompareVersions(q.Version, "10"), 0)
	for _, file := range []string{"bios-256k.bin", "linuxboot_dma.bin", "pvh.bin", "kvmvapic.bin", "vgabios-stdvga.bin"} {
		assert.FileExists(t, filepath.Join(q.DataDir, file))
	}

	// Every library comes from the root, none from the host.
	list := append(append([]string{}, q.Argv[1:3]...), "--list", q.Argv[3])
	out, err := exec.CommandContext(t.Context(), q.Argv[0], list...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	root := filepath.Dir(filepath.Dir(filepath.Dir(q.DataDir)))
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "linux-vdso") {
			assert.Contains(t, line, root)
		}
	}

	kit := realKit(t, ar, "6.1")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args := append(append([]string{}, q.Argv[1:]...), "-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "256",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", kit.VMLinux, "-append", "console=ttyS0 no_timer_check panic=-1")
	c, err := guard.Command(ctx, nil, q.Argv[0], args...)
	require.NoError(t, err)
	var console strings.Builder
	c.Stdout, c.Stderr = &console, &console
	require.NoError(t, c.Run(), "%s", console.String())
	assert.Contains(t, console.String(), "Linux version "+kit.Release)
	assert.Contains(t, console.String(), "Unable to mount root fs", "it got as far as it can without an initramfs")
}
