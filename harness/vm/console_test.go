// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// spoken is the console of a guest that said pieces, one write each.
func spoken(t require.TestingT, log io.Writer, pieces ...string) *Console {
	ours, theirs := net.Pipe()
	c := newConsole(ours, ours, time.Now(), log, func() {})
	go c.read()
	for _, p := range pieces {
		_, err := io.WriteString(theirs, p)
		require.NoError(t, err)
	}
	theirs.Close()
	<-c.done
	return c
}

func texts(c *Console) (all []string) {
	lines, _ := c.Lines(keptLines)
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestConsoleLines(t *testing.T) {
	var log bytes.Buffer
	c := spoken(t, &log, "on", "e\r\ntw", "o\x1b[2J\xff\tend\n\nlast")
	require.Equal(t, []string{"one", `two\x1b[2J\xff` + "\tend", "", "last"}, texts(c))
	require.Equal(t, "\nlast\n", c.Tail(2))
	head, rest, _ := strings.Cut(log.String(), "\n")
	require.Regexp(t, `^# Serial console\. .* since \d{4}-.*Z\.$`, head)
	stamp := regexp.MustCompile(`(?m)^ +\d+\.\d{6}  `)
	require.Len(t, stamp.FindAllString(rest, -1), 4)
	require.Equal(t, "one\n"+`two\x1b[2J\xff`+"\tend\n\nlast", stamp.ReplaceAllString(rest, ""))
	require.NotContains(t, log.String(), "\x1b")
}

// What a guest says does not depend on how it is cut on its way.
func TestConsoleCuts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "said")
		cut := rapid.IntRange(0, len(said)).Draw(t, "cut")
		require.Equal(t,
			texts(spoken(t, io.Discard, string(said))),
			texts(spoken(t, io.Discard, string(said[:cut]), string(said[cut:]))))
	})
}

// No guest fills our memory, with lines or without them.
func TestConsoleBounds(t *testing.T) {
	for name, text := range map[string]string{
		"short lines": strings.Repeat("x\n", 200_000),
		"long lines":  strings.Repeat(strings.Repeat("x", 5000)+"\n", 500),
		"no lines":    strings.Repeat("x", 3<<20),
	} {
		t.Run(name, func(t *testing.T) {
			c := spoken(t, io.Discard, text)
			lines, before := c.Lines(1 << 30)
			size := 0
			for _, l := range lines {
				require.LessOrEqual(t, len(l.Text), maxLine+4)
				size += len(l.Text)
			}
			require.LessOrEqual(t, len(lines), keptLines)
			require.LessOrEqual(t, size, keptBytes)
			require.Positive(t, before)
			require.Equal(t, c.count, before+len(lines))
		})
	}
}

func TestConsoleSubscribe(t *testing.T) {
	ours, theirs := net.Pipe()
	var signs atomic.Int32
	c := newConsole(ours, ours, time.Now(), io.Discard, func() { signs.Add(1) })
	go c.read()
	_, _ = io.WriteString(theirs, "before\n")
	// A second write is taken only after the first: both are in by then.
	_, _ = io.WriteString(theirs, "also before\n")
	_, _ = io.WriteString(theirs, "part")
	early, lazy := c.Subscribe(t.Context()), c.Subscribe(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	gone := c.Subscribe(ctx)
	cancel()
	for range gone { // is closed
	}
	require.Equal(t, "before", (<-early).Text)
	require.Equal(t, "also before", (<-early).Text)
	_, _ = io.WriteString(theirs, "ly\n")
	require.Equal(t, "partly", (<-early).Text)
	for i := range subscribers + 10 {
		fmt.Fprintf(theirs, "%d\n", i)
		require.Equal(t, fmt.Sprint(i), (<-early).Text, "a subscriber that keeps up loses nothing")
	}
	for range subscribers { // what fitted
		require.Zero(t, (<-lazy).Dropped)
	}
	_, _ = io.WriteString(theirs, "more\n")
	line := <-lazy
	require.Equal(t, "more", line.Text)
	require.Equal(t, 13, line.Dropped)
	theirs.Close()
	<-c.done
	_, open := <-lazy
	require.False(t, open)
	require.GreaterOrEqual(t, signs.Load(), int32(subscribers))
	replay := c.Subscribe(t.Context())
	require.Equal(t, c.count-keptLines, (<-replay).Dropped, "says how much came before what is kept")
}

func TestLastWords(t *testing.T) {
	for said, want := range map[string]string{
		"": "",
		"[ 1.2] Kernel panic - not syncing: oops\n[ 1.3] Kernel panic - not syncing: again\n": "Kernel panic - not syncing: oops",
		"x\n[ 1.2] Kernel panic - not syncing: cut of":                                        "Kernel panic - not syncing: cut of",
		"Kernel pan": "",
	} {
		require.Equal(t, want, spoken(t, io.Discard, said).lastWords(), said)
	}
}
