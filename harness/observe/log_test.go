// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLogRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "timeline.jsonl")
	log, err := Create(path, 0)
	require.NoError(t, err)
	want := Timeline{
		{Clock: Host, T: 1, Kind: KindAction, Action: &Action{Name: "load", Detail: "p.ko", Edge: "begin"}},
		{Clock: Guest, T: 2, Seq: 1, Kind: KindKernelLog, KernelLog: &KernelLog{Seq: 9, Level: 6, US: 3, Text: "line\nbreak and \u2028"}},
		{Clock: Guest, T: 3, Seq: 2, Kind: "of a later version", Raw: []byte(`{"x":1}`)},
	}
	for i, e := range want {
		require.NoError(t, log.Append(e))
		// On disk as it happens, not when it is closed.
		got, err := Read(path)
		require.NoError(t, err)
		require.Equal(t, want[:i+1], got)
	}
	require.NoError(t, log.Close())
	require.ErrorIs(t, log.Append(want[0]), os.ErrClosed)
}

func TestLogTakesManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "timeline.jsonl")
	log, err := Create(path, 0)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 200 {
				_ = log.Append(Event{Clock: Host, T: int64(i), Kind: KindQMP, Raw: []byte(`"` + strings.Repeat("x", i) + `"`)})
			}
		})
	}
	group.Wait()
	require.NoError(t, log.Close())
	got, err := Read(path)
	require.NoError(t, err)
	require.Len(t, got, 1600)
}

// Cut off at any byte, the log gives all events before and says that it is
// torn.
func TestTornLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "timeline.jsonl")
	log, err := Create(path, 0)
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, log.Append(Event{Clock: Guest, T: int64(i), Kind: KindCost, Cost: &Cost{Looks: i}}))
	}
	require.NoError(t, log.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range whole {
		got, err := read("x", bytes.NewReader(whole[:n]))
		lines := bytes.Count(whole[:n], []byte("\n"))
		require.Len(t, got, lines)
		var torn *TornError
		if n == 0 || whole[n-1] == '\n' {
			require.NoError(t, err)
		} else {
			require.True(t, errors.As(err, &torn), "cut at %d: %v", n, err)
			require.Equal(t, lines+1, torn.Line)
		}
	}
	_, err = read("x", strings.NewReader("{}\nnot JSON\n{}\n"))
	require.ErrorContains(t, err, "line 2")
	_, err = read("x", strings.NewReader(strings.Repeat("x", maxLine+1)))
	require.ErrorContains(t, err, "longer than")
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "timeline.jsonl")
	log, err := Create(path, 200)
	require.NoError(t, err)
	e := Event{Clock: Guest, T: 1, Kind: KindRound, Round: &Round{N: 1}}
	for range 10 {
		err = log.Append(e)
	}
	require.ErrorContains(t, err, "limit of 200 bytes")
	require.Positive(t, log.Lost())
	require.Error(t, log.Close())
	got, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, 10, len(got)+int(log.Lost()))
}

// A full disk is said at once and at the end, and the log stays readable.
func TestLogOnAFullDisk(t *testing.T) {
	log, err := Create("/dev/full", 0)
	require.NoError(t, err)
	require.ErrorContains(t, log.Append(Event{Kind: KindRound}), "no space left")
	require.ErrorContains(t, log.Append(Event{Kind: KindRound}), "no space left")
	require.EqualValues(t, 2, log.Lost())
	require.Error(t, log.Close())
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"clock":"guest-monotonic","t":1,"kind":"transition","transition":{"patch":"p","edge":"start","to":"apply"}}` + "\n"))
	f.Add([]byte(`{"kind":"transition","transition":{"edge":"end"}}` + "\n" + `{"kind":"sample","sample":{}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		events, _ := read("x", bytes.NewReader(in))
		for _, p := range events.Phases() {
			_, _ = p.Took(), p.Left()
		}
	})
}
