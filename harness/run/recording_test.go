// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestRecording records a run and replays it: to its end, which is the same; to
// a moment; and for a debugger. A recording that is not what it was, or that
// this machine cannot play, is refused with the reason.
func TestRecording(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "cmdline", "")
			p.Loads = []load.Spec{}
			p.Dir = t.TempDir()
			r, err := y.Record(t.Context(), p, 5)
			require.NoError(t, err)
			require.Equal(t, "complete", r.Verdict, r.Reason)
			require.Equal(t, StartCold, r.Machine.Start)
			require.Equal(t, RecordingFile, r.Artifacts.Recording)
			requireListed(t, p.Dir)

			whole := replay(t, y, Replay{Dir: p.Dir})
			require.True(t, whole.Ended)
			require.Empty(t, whole.Differences)
			require.Empty(t, whole.Short)
			require.Equal(t, p.Kernel.Release, whole.Recording.Release)
			require.Equal(t, []RecordedFile{{Name: "cmdline", SHA256: r.Patch.SHA256}}, whole.Recording.Modules)

			if version != versions[0] {
				return
			}
			replayStops(t, y, p.Dir, whole.Recording)
			replayForDebugger(t, y, p.Dir)
			refuseReplays(t, y, p.Dir)
		})
	}
}

func replay(t *testing.T, y *Yard, r Replay) *Replayed {
	t.Helper()
	r.Out = t.TempDir()
	out, err := y.Replay(t.Context(), r)
	require.NoError(t, err)
	return out
}

// replayStops: at an instruction, with the console as it was then.
func replayStops(t *testing.T, y *Yard, dir string, about *Recording) {
	t.Helper()
	require.NotEmpty(t, about.Marks)
	mark := about.Marks[len(about.Marks)/2]
	var at *Stop
	out := replay(t, y, Replay{Dir: dir, StopAt: mark.Instructions, Stopped: func(s Stop) { at = &s }})
	require.False(t, out.Ended)
	require.NotNil(t, at)
	require.Equal(t, mark.Instructions, at.Instructions)
	require.Contains(t, at.Registers, "RIP=")
	// The mark's line was looked at a moment after the instructions were.
	console, err := output(dir, sumConsole)
	require.NoError(t, err)
	seen, marked := bytes.Index(console, []byte(at.Console)), bytes.Index(console, []byte(mark.Console))
	require.GreaterOrEqual(t, seen, 0, at.Console)
	require.LessOrEqual(t, seen, marked)
}

// replayForDebugger: the guest waits at the reset vector; what the debugger
// ends is a beginning of the recording.
func replayForDebugger(t *testing.T, y *Yard, dir string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "gdb")
	out := replay(t, y, Replay{Dir: dir, Debugger: "unix:" + socket + ",server=on,wait=off", Waiting: func(vmlinux string) {
		require.FileExists(t, vmlinux)
		conn, err := net.Dial("unix", socket)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		// Why does it stand? Then: kill it.
		// https://sourceware.org/gdb/current/onlinedocs/gdb.html/Packets.html
		_, err = conn.Write([]byte("+$?#3f"))
		require.NoError(t, err)
		answer := make([]byte, 256)
		var said strings.Builder
		for !strings.Contains(said.String(), "#") {
			n, err := conn.Read(answer)
			require.NoError(t, err)
			said.Write(answer[:n])
		}
		require.Regexp(t, `\$T[0-9a-f]{2}thread`, said.String())
		_, err = conn.Write([]byte("+$k#6b"))
		require.NoError(t, err)
	}})
	require.True(t, out.Ended)
	require.Empty(t, out.Differences)
	require.NotEmpty(t, out.Short)
}

func refuseReplays(t *testing.T, y *Yard, dir string) {
	t.Helper()
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, copied string)
		lacking bool
		want    string
	}{
		{"log", func(t *testing.T, d string) { appendTo(t, filepath.Join(d, logFile)) }, false, "the execution log is not the one"},
		{"initrd", func(t *testing.T, d string) { appendTo(t, filepath.Join(d, initrdFile)) }, false, "the initrd is not the one"},
		{"plan gone", func(t *testing.T, d string) { require.NoError(t, os.Remove(filepath.Join(d, planFile))) }, false, "not whole"},
		{"no recording", func(t *testing.T, d string) { require.NoError(t, os.Remove(filepath.Join(d, RecordingFile))) }, false, "holds no recording.json"},
		{"half a recording", func(t *testing.T, d string) { require.NoError(t, os.Truncate(filepath.Join(d, RecordingFile), 100)) }, false, "was damaged"},
		{"machine", edit(func(r *Recording) { r.Machine[1] = "pc" }), false, `"pc" there, "q35`},
		{"QEMU", edit(func(r *Recording) { r.QEMU = "6.0.0" }), true, "QEMU 6.0.0, which made the recording"},
		{"kernel", func(t *testing.T, d string) {
			require.NoError(t, os.WriteFile(filepath.Join(d, kernelFile), []byte("another"), 0o644))
		}, true, "put it into the recording's folder as vmlinux"},
	} {
		t.Run(test.name, func(t *testing.T) {
			copied := t.TempDir()
			require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
			test.spoil(t, copied)
			_, err := y.Replay(t.Context(), Replay{Dir: copied, Out: t.TempDir()})
			require.ErrorContains(t, err, test.want)
			var lacking *kernels.Lacking
			var input *patch.InputError
			if test.lacking {
				require.ErrorAs(t, err, &lacking)
			} else {
				require.ErrorAs(t, err, &input)
			}
		})
	}
}

func appendTo(t *testing.T, path string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("x")
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func edit(change func(*Recording)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		r, err := readRecording(dir)
		require.NoError(t, err)
		change(r)
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, RecordingFile), text, 0o644))
	}
}
