// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// talk sends a line to the echoing guest and waits until it comes back.
func talk(t testing.TB, m *Machine, text string) {
	t.Helper()
	require.NoError(t, m.Channel().SetDeadline(time.Now().Add(time.Minute)))
	_, err := fmt.Fprintln(m.Channel(), text)
	require.NoError(t, err)
	lines := bufio.NewReader(m.Channel())
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "the guest does not answer: %s", m.Serial().Tail(5))
		if line == text+"\n" {
			return
		}
	}
}

// template boots the echoing guest and saves it; the Config is for its forks.
func template(t testing.TB, version string, change ...func(*Config)) (*Snapshot, Config) {
	t.Helper()
	dir := t.TempDir()
	var cfg Config
	m := guest(t, version, "echo", append(change, func(c *Config) {
		mib := c.MemMiB
		if mib == 0 {
			mib = DefaultMemMiB
		}
		ram, err := NewRAM(dir, mib)
		require.NoError(t, err)
		c.RAM = ram
		cfg = *c
	})...)
	talk(t, m, "before")
	s, err := m.Save(t.Context())
	require.NoError(t, err)
	require.True(t, isCanceled(m.Wait()))
	s, err = Open(s.Dir)
	require.NoError(t, err)
	cfg.RAM = RAM{}
	return s, cfg
}

func fork(t testing.TB, s *Snapshot, cfg Config) *Machine {
	t.Helper()
	cfg.Dir = t.TempDir()
	m, err := s.Fork(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { m.Kill(); <-m.Done(); m.Channel().Close() })
	return m
}

// TestForkByHand: the line in a fork's folder starts the same fork from a shell,
// of a machine saved for good and of one that went on.
func TestForkByHand(t *testing.T) {
	s, cfg := template(t, versions[0])
	m := fork(t, s, cfg)
	talk(t, m, "here")
	paused, err := m.Snapshot(t.Context(), t.TempDir())
	require.NoError(t, err)
	for _, dir := range []string{m.Dir(), fork(t, paused, cfg).Dir()} {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline.txt"))
		require.NoError(t, err)
		// It is told to quit, once it has said how it is.
		commands, err := os.OpenFile(filepath.Join(dir, commandsFile), os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = commands.WriteString("info status\nquit\n")
		require.NoError(t, err)
		require.NoError(t, commands.Close())
		out, err := exec.CommandContext(t.Context(), "sh", "-c", string(line)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(filepath.Join(dir, answersFile))
		require.NoError(t, err)
		require.NotContains(t, string(text), "Error")
		require.NotContains(t, string(text), "unknown command")
		require.Contains(t, string(text), "VM status:")
	}
}

// TestForks forks a saved machine again and again: each fork answers on its
// own channel, powers off on its own, and leaves the snapshot as it was. So
// do forks that start at once, and one from a QEMU that waited.
func TestForks(t *testing.T) {
	for _, version := range versions {
		for _, cpus := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s-%d", version, cpus), func(t *testing.T) {
				s, cfg := template(t, version, func(c *Config) { c.CPUs = cpus })
				require.True(t, s.Mapped)
				before, err := hashFile(filepath.Join(s.Dir, ramFile))
				require.NoError(t, err)
				for i := range 3 {
					m := fork(t, s, cfg)
					talk(t, m, fmt.Sprint("fork ", i))
					m.ExpectShutdown()
					_, err := m.Channel().Write([]byte("off\n"))
					require.NoError(t, err)
					require.NoError(t, m.Wait())
				}
				waiting, err := s.Ready(t.Context(), cfg)
				require.NoError(t, err)
				defer waiting.Close()
				one, two := fork(t, s, cfg), fork(t, s, cfg)
				talk(t, one, "one")
				talk(t, two, "two")
				talk(t, one, "one again")
				own := cfg
				own.Dir = t.TempDir()
				three, err := waiting.Fork(t.Context(), own)
				require.NoError(t, err)
				talk(t, three, "three")
				three.Kill()
				<-three.Done()
				_, err = waiting.Fork(t.Context(), own)
				require.ErrorContains(t, err, "taken already")

				after, err := hashFile(filepath.Join(s.Dir, ramFile))
				require.NoError(t, err)
				require.Equal(t, before, after, "a fork wrote to its snapshot")
			})
		}
	}
}

// TestSnapshotOfARunningMachine takes a snapshot in the middle, twice, of a
// fork as well: the machine goes on, and so does every fork once it is let go.
func TestSnapshotOfARunningMachine(t *testing.T) {
	var cfg Config
	m := guest(t, "6.1", "echo", func(c *Config) { cfg = *c })
	talk(t, m, "before")
	for generation := range 2 {
		s, err := m.Snapshot(t.Context(), t.TempDir())
		require.NoError(t, err)
		talk(t, m, fmt.Sprint("the first, after ", generation))
		s, err = Open(s.Dir)
		require.NoError(t, err)
		require.True(t, s.Paused)
		child := fork(t, s, cfg)
		_, err = fmt.Fprintln(child.Channel(), "too early")
		require.NoError(t, err)
		require.NoError(t, child.Channel().SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		_, err = child.Channel().Read(make([]byte, 1))
		var late net.Error
		require.ErrorAs(t, err, &late, "a paused fork answers")
		require.NoError(t, child.Cont(t.Context()))
		talk(t, child, "second")
		talk(t, m, "the first is alive")
		m = child
	}
}

// TestDamagedSnapshot damages each part of a snapshot in turn: none of them is
// opened.
func TestDamagedSnapshot(t *testing.T) {
	s, cfg := template(t, "6.1")
	flip := func(file string, at int64) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			f, err := os.OpenFile(filepath.Join(dir, file), os.O_RDWR, 0)
			require.NoError(t, err)
			defer f.Close()
			b := make([]byte, 1)
			_, err = f.ReadAt(b, at)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte{b[0] ^ 4}, at)
			require.NoError(t, err)
		}
	}
	cut := func(file string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			info, err := os.Stat(filepath.Join(dir, file))
			require.NoError(t, err)
			require.NoError(t, os.Truncate(filepath.Join(dir, file), info.Size()-pageSize))
		}
	}
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		says   string
	}{
		"state flipped": {flip(stateFile, 1000), "device state changed"},
		"state cut":     {cut(stateFile), "device state changed"},
		"state gone":    {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, stateFile))) }, "no such file"},
		"ram flipped":   {flip(ramFile, s.Sample.Pages[17]+99), "memory changed"},
		"ram cut":       {cut(ramFile), "memory has"},
		"not about it": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, aboutFile), []byte("{"), 0o600))
		}, aboutFile},
		"others may write": {func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, stateFile), 0o666)) }, "may be written by others"},
		"another user's": {func(t *testing.T, dir string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			require.NoError(t, os.Chown(filepath.Join(dir, ramFile), 12345, -1))
		}, "made by user 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(s.Dir)))
			for _, file := range []string{aboutFile, stateFile, ramFile} {
				require.NoError(t, os.Chmod(filepath.Join(dir, file), 0o600))
			}
			_, err := Open(dir)
			require.NoError(t, err, "a copy is as good")
			c.damage(t, dir)
			_, err = Open(dir)
			var damaged *SnapshotError
			require.ErrorAs(t, err, &damaged)
			require.ErrorContains(t, err, c.says)
		})
	}

	for name, change := range map[string]func(*Config){
		"another QEMU":   func(c *Config) { c.QEMU.Version = "11.0.1" },
		"more memory":    func(c *Config) { c.MemMiB = 1024 },
		"more CPUs":      func(c *Config) { c.CPUs = 2 },
		"virtual time":   func(c *Config) { shift := 1; c.Shift = &shift },
		"another kernel": func(c *Config) { c.Kernel = "/boot/vmlinux" },
		"an argument":    func(c *Config) { c.Append = append(c.Append, "quiet") },
	} {
		t.Run(name, func(t *testing.T) {
			other := cfg
			change(&other)
			_, err := s.Fork(t.Context(), other)
			require.ErrorContains(t, err, "of another machine")
		})
	}
}
