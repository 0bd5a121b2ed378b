// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/go-qemu/qmp/raw"
	"github.com/stretchr/testify/require"
)

// The channel carries bytes both ways in a small machine; the monitor and
// Usage work meanwhile.
func TestChannel(t *testing.T) {
	each(t, func(t *testing.T, version string) {
		m := guest(t, version, "echo", func(c *Config) { c.MemMiB = 256 })
		r := bufio.NewReader(m.Channel())
		hello, err := r.ReadString('\n')
		require.NoErrorf(t, err, "%+v", m.Fate(deathGrace))
		require.Equal(t, "hello\n", hello)
		sent := strings.Repeat("0123456789abcde\n", 16<<10)
		go func() { _, _ = io.WriteString(m.Channel(), sent) }()
		got := make([]byte, len(sent))
		_, err = io.ReadFull(r, got)
		require.NoError(t, err)
		require.Equal(t, sent, string(got))

		status, err := raw.NewMonitor(m.Monitor()).QueryStatus()
		require.NoError(t, err)
		require.True(t, status.Running)
		before, rss := m.Usage()
		require.Positive(t, before)
		require.Greater(t, rss, int64(16<<20))

		m.ExpectShutdown()
		_, err = io.WriteString(m.Channel(), "off\n")
		require.NoError(t, err)
		require.NoError(t, m.Shutdown(t.Context()))
		after, _ := m.Usage()
		require.Greater(t, after, before)
		_, err = io.ReadAll(r)
		require.NoError(t, err, "ends with EOF")
	})
}

// What a machine leaves behind.
func TestLogs(t *testing.T) {
	m := guest(t, "6.1", "poweroff")
	require.NoError(t, m.Shutdown(t.Context()))
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(m.Dir(), name))
		require.NoError(t, err)
		return string(text)
	}
	require.Contains(t, read("serial.log"), "Linux version 6.1.")
	require.Contains(t, read("serial.log"), "READY")
	var last string
	for line := range strings.Lines(read("qmp.jsonl")) {
		var r struct{ Event struct{ Event string } }
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		if r.Event.Event != "" {
			last = r.Event.Event
		}
	}
	require.Equal(t, "SHUTDOWN", last)
	require.Empty(t, read("qemu.log"))
	entries, err := os.ReadDir(m.Dir())
	require.NoError(t, err)
	require.Len(t, entries, 4)

	// The line by hand starts the same guest.
	again := exec.CommandContext(t.Context(), "sh", "-c", "exec "+read("cmdline.txt"))
	out, err := again.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "READY")
}

// A guest that floods its console for seconds costs bounded memory and disk,
// and its monitor answers all the time.
func TestFlood(t *testing.T) {
	m := guest(t, "6.1", "flood")
	await(t, m, "READY")
	began := time.Now()
	for time.Since(began) < 3*time.Second {
		require.NoError(t, m.Execute(t.Context(), "query-status", nil, nil))
	}
	lines, before := m.Serial().Lines(1 << 20)
	require.LessOrEqual(t, len(lines), keptLines+1, "and the one under way")
	t.Logf("%d lines in %v", before+len(lines), time.Since(began))
	require.Contains(t, m.Serial().Tail(2), `\x1b[2Jflood`)
}

// Not one character of the console is lost, however late it is read: here
// our process looks away for as long as the guest has most to say.
func TestConsoleLosesNothing(t *testing.T) {
	m := guest(t, "6.1", "count", func(c *Config) { c.Append = append(c.Append, "printk.devkmsg=on") })
	await(t, m, "READY")
	m.console.mu.Lock() // the reader waits
	select {
	case <-m.Done():
	case <-time.After(3 * time.Second):
	}
	m.console.mu.Unlock()
	died[*GuestShutdown](t, m, m.Wait())
	lines, before := m.Serial().Lines(keptLines)
	require.Zero(t, before)
	next := 0
	for _, l := range lines {
		if _, n, ok := strings.Cut(l.Text, "] count "); ok {
			require.Equal(t, fmt.Sprint(next), n)
			next++
		}
	}
	require.Equal(t, 1000, next)
}

// What is typed arrives at the guest's console.
func TestType(t *testing.T) {
	m := guest(t, "6.1", "listen")
	var screen bytes.Buffer
	detach := m.Serial().Attach(&screen)
	await(t, m, "listening")
	detach()
	require.Contains(t, screen.String(), "listening\r\n")
	_, err := m.Type([]byte("tick, tock\n"))
	require.NoError(t, err)
	await(t, m, `heard "tick, tock"`)
	require.NoError(t, m.Shutdown(t.Context()))
	_, err = m.Type([]byte("too late"))
	require.Error(t, err)
}

// Too little memory is told as such, whatever way it kills the guest.
func TestTooLittleMemory(t *testing.T) {
	for _, version := range versions {
		for _, mib := range []int{32, 64} {
			t.Run(fmt.Sprintf("%s/%d", version, mib), func(t *testing.T) {
				m, err := startGuest(t, t.Context(), version, "memory", func(c *Config) {
					c.MemMiB = mib
					c.Silence = 20 * time.Second // some thrash
				})
				if err == nil {
					err = m.Wait()
				}
				t.Log(err)
				require.ErrorContains(t, err, "-mem")
			})
		}
	}
}
