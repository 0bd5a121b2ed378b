// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/run"
)

// TestReproConsents: QEMU reads a bundle's recording only where -replay says
// so, and a replay has one way to go.
func TestReproConsents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.tar.zst")
	require.Zero(t, forge([]string{"empty", path, "s|RELEASE|6.1.0-1-amd64|"}))
	for want, args := range map[string][]string{
		"-gdb is of a replay: of a bundle it needs -replay":     {"-gdb", "tcp:localhost:1"},
		"-stop-at is of a replay: of a bundle it needs -replay": {"-stop-at", "7"},
		"-repeat is for doing a bundle's run again":             {"-replay", "-repeat", "2"},
		"-kernel is for doing a bundle's run again":             {"-replay", "-kernel", "6.12"},
		"-rebuild is for doing a bundle's run again":            {"-replay", "-rebuild"},
		"-accel is for doing a bundle's run again":              {"-replay", "-gdb", "tcp:localhost:1", "-accel", "kvm"},
		"it holds no recording to replay":                       {"-replay", "-stop-at", "7"},
	} {
		err := reproOf(append([]string{path}, args...))
		require.Equal(t, exitInput, exitStatus(err), "%v", err)
		require.ErrorContains(t, err, want)
	}
}

// TestReproFinds: what a run left in a folder of its kernel, of a repeat, of a
// seed; of several they are named.
func TestReproFinds(t *testing.T) {
	for _, c := range []struct {
		files    []string
		found    string
		recorded bool
		wants    string
	}{
		{[]string{"bundle.tar.zst"}, "bundle.tar.zst", false, ""},
		{[]string{"p-6.1/bundle.tar.zst", "p-6.1/run.jsonl"}, "p-6.1/bundle.tar.zst", false, ""},
		{[]string{"p-6.1/repeat-07/bundle.tar.zst"}, "p-6.1/repeat-07/bundle.tar.zst", false, ""},
		{[]string{"b/p-6.1/seed-3/bundle.tar.zst"}, "b/p-6.1/seed-3/bundle.tar.zst", false, ""},
		{[]string{"p-6.1/repeat-1/bundle.tar.zst", "p-6.12/repeat-2/bundle.tar.zst"}, "", false, "holds 2 bundles; name one: DIR/p-6.1/repeat-1/bundle.tar.zst, DIR/p-6.12/repeat-2/bundle.tar.zst"},
		{[]string{"recording.json"}, ".", true, ""},
		{[]string{"b/p-6.1/recording.json", "b/p-6.1/bundle.tar.zst"}, "b/p-6.1", true, ""},
		{[]string{"p-6.1/recording.json", "p-6.12/recording.json"}, "", false, "holds 2 recordings; name one: DIR/p-6.1, DIR/p-6.12"},
		{[]string{"p-6.1/run.jsonl"}, "", false, "holds no recording"},
	} {
		dir := t.TempDir()
		for _, name := range c.files {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		}
		link := filepath.Join(t.TempDir(), "link")
		require.NoError(t, os.Symlink(dir, link))
		for _, dir := range []string{dir, link} {
			found, recorded, err := toRepeat(dir)
			if c.wants != "" {
				require.Equal(t, exitInput, exitStatus(err), "%v", err)
				require.ErrorContains(t, err, strings.ReplaceAll(c.wants, "DIR", dir))
				continue
			}
			require.NoError(t, err)
			require.Equal(t, filepath.Join(dir, c.found), found)
			require.Equal(t, c.recorded, recorded)
		}
	}
}

func reproOf(args []string) error {
	root := newRoot()
	root.SetOut(&bytes.Buffer{})
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(normalise(append([]string{"repro"}, args...)))
	return root.Execute()
}

// TestStrangersWords: what a guest or a stranger's file says does not draw on
// the terminal, on either output.
func TestStrangersWords(t *testing.T) {
	var out bytes.Buffer
	tellStop(&out, run.Stop{Instructions: 7, Console: "a\x1b[2J\nb", Registers: "RIP=0\n\x1b]0;x\x07"})
	require.Equal(t, "stopped after 7 instructions; the console's last line: a\ufffd[2J b\nRIP=0\n\ufffd]0;x\ufffd", out.String())

	out.Reset()
	scr := newScreen(&out)
	scr.step("6.1\x1b", "boot\u202e")
	scr.note("one\ntwo\x1b[m")
	scr.bytes("vmlinux\x07", 0, 0)
	require.Equal(t, "6.1\ufffd: boot\ufffd\none\ntwo\ufffd[m\nfetching vmlinux\ufffd\n", out.String())

	stderr := os.Stderr
	t.Cleanup(func() { os.Stderr = stderr })
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	os.Stderr = file
	require.Equal(t, exitInput, exitStatus(usageError{&os.PathError{Op: "x", Path: "\x1b[2J\xff", Err: os.ErrInvalid}}))
	os.Stderr = stderr
	said, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Contains(t, string(said), "x \ufffd[2J\ufffd: invalid argument\n")
}
