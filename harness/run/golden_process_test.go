// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels/guard"
)

// bootRole is another process that has guests, in the cache that its
// environment names.
const bootRole = "run-test-boot"

func init() { guard.Register(bootRole, bootMain) }

// errand is what that process does.
type errand struct {
	Dir  string
	Pool bool // keeps a QEMU waiting, and waits to be killed
	Runs int  // this many runs, two at a time, instead of one guest
}

// told is what it says of its guest or run.
type told struct {
	Origin  Origin
	Made    int64 // when the snapshot was, ns
	Verdict string
}

func bootMain(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var e errand
	err := json.Unmarshal([]byte(args[0]), &e)
	if err == nil {
		err = e.do(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (e errand) do(ctx context.Context) error {
	y, err := NewYard(Options{QEMU: os.Getenv("SWITCHYARD_QEMU"), Accel: "tcg", Prefork: e.Pool, VMs: 2})
	if err != nil {
		return err
	}
	defer y.Close()
	found, err := y.Catalogue.Select(ctx, "6.1")
	if err != nil {
		return err
	}
	if e.Runs > 0 {
		src, err := patch.Open("../../cases/testdata/cmdline")
		if err != nil {
			return err
		}
		results := make(chan error)
		for i := range e.Runs {
			go func() {
				r, err := y.Run(ctx, Plan{
					Kernel: found[0], Patches: []*patch.Source{src}, Loads: []load.Spec{},
					Guest: GuestConfig{CPUs: 1}, Dir: filepath.Join(e.Dir, fmt.Sprint(i)),
				})
				if err == nil {
					err = json.NewEncoder(os.Stdout).Encode(told{Origin: Origin{Start: r.Machine.Start, Failures: r.Machine.SnapshotFailures}, Verdict: r.Verdict})
				}
				results <- err
			}()
		}
		for range e.Runs {
			if one := <-results; one != nil {
				err = one
			}
		}
		return err
	}
	kit, err := y.Kit(ctx, found[0])
	if err != nil {
		return err
	}
	g, err := y.Boot(ctx, GuestConfig{Kit: kit, CPUs: 1, Dir: e.Dir})
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(y.Store.Dir, goldenKind, g.Origin.Snapshot, "snapshot.json"))
	if err != nil {
		return err
	}
	if err := g.Close(ctx); err != nil {
		return err
	}
	if y.pool != nil {
		y.pool.starting.Wait()
	}
	if err := json.NewEncoder(os.Stdout).Encode(told{Origin: g.Origin, Made: info.ModTime().UnixNano()}); err != nil {
		return err
	}
	if e.Pool {
		select {}
	}
	return nil
}

// send starts another process; it says what came of it on the channel, which
// is closed when it is gone.
func send(t *testing.T, e errand) (*exec.Cmd, <-chan told) {
	t.Helper()
	e.Dir = t.TempDir()
	text, err := json.Marshal(e)
	require.NoError(t, err)
	self, err := guard.Self()
	require.NoError(t, err)
	cmd := exec.Command(self, guard.RoleArgs(bootRole, string(text))...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := make(chan told, 100)
	go func() {
		defer close(said)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var one told
			if json.Unmarshal(lines.Bytes(), &one) == nil {
				said <- one
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}()
	return cmd, said
}

// TestProcessesAndGoldens kills a process while it makes a snapshot, early and
// late, and interrupts one: nothing stays, not even half an entry. Then two at
// once need the same one: one makes it, both fork it. A third is killed while
// a QEMU waits in its pool.
func TestProcessesAndGoldens(t *testing.T) {
	cache := ownCache(t, "")
	mark := mark(t)
	nothing := func(t *testing.T) {
		t.Helper()
		await(t, mark, 0)
		require.Eventually(t, func() bool {
			left, err := filepath.Glob(filepath.Join(cache, "tmp", "*"))
			return err == nil && len(left) == 0
		}, 30*time.Second, 10*time.Millisecond, "temporary folders stay")
	}
	for _, c := range []struct {
		signal syscall.Signal
		at     string // the file that is there then
	}{
		{syscall.SIGKILL, "boot/serial.log"},
		{syscall.SIGINT, "boot/serial.log"},
		{syscall.SIGKILL, "state"},
		{syscall.SIGKILL, "past.jsonl"},
	} {
		t.Run(fmt.Sprintf("%v at %s", c.signal, filepath.Base(c.at)), func(t *testing.T) {
			cmd, said := send(t, errand{})
			gone := false
			for !gone {
				found, err := filepath.Glob(filepath.Join(cache, "tmp", "make-*", "content", c.at))
				require.NoError(t, err)
				if len(found) > 0 {
					break
				}
				select {
				case _, more := <-said:
					gone = !more // too fast for us; then it is whole
				case <-time.After(200 * time.Microsecond):
				}
			}
			_ = cmd.Process.Signal(c.signal)
			for range said { // until it is gone
			}
			nothing(t)
			all, err := filepath.Glob(filepath.Join(cache, goldenKind, "*"))
			require.NoError(t, err)
			for _, dir := range all { // it came in between: all or nothing
				require.False(t, strings.HasPrefix(c.at, "boot"), "%s after a kill in the middle of a boot", dir)
				_, err := openGolden(dir)
				require.NoError(t, err)
				require.True(t, testYard(t).Store.Has(goldenKind, filepath.Base(dir)))
				require.NoError(t, os.RemoveAll(dir))
			}
		})
	}

	_, one := send(t, errand{})
	_, two := send(t, errand{})
	first, second := <-one, <-two
	require.Equal(t, first.Made, second.Made, "both made it")
	require.Positive(t, first.Made)
	for _, told := range []told{first, second} {
		require.Equal(t, StartFork, told.Origin.Start)
		require.Empty(t, told.Origin.Failures)
	}
	_, _ = <-one, <-two
	nothing(t)
	require.Equal(t, fmt.Sprint(first.Made), made(t, entry(t, cache)))

	cmd, three := send(t, errand{Pool: true})
	require.Equal(t, first.Made, (<-three).Made)
	await(t, mark, 1)
	require.NoError(t, cmd.Process.Kill())
	<-three
	nothing(t)
}

// TestForksUnderPressure has two forks at a time with less memory than they
// and the snapshot's pages in the page cache need, so that the host takes
// pages away all the time: the verdicts stay right.
func TestForksUnderPressure(t *testing.T) {
	group := newMemoryGroup(t)
	cache := seededCache(t)
	before := made(t, entry(t, cache))
	// The page cache is charged to who read it first.
	ram, err := os.OpenFile(filepath.Join(entry(t, cache), "ram"), os.O_RDONLY, 0)
	require.NoError(t, err)
	defer ram.Close()
	forgetPages(t, ram)

	cmd, said := send(t, errand{Runs: 6})
	group.add(t, cmd.Process.Pid)
	n := 0
	for told := range said {
		require.Equal(t, "complete", told.Verdict)
		require.Equal(t, StartFork, told.Origin.Start, "%v", told.Origin.Failures)
		n++
	}
	require.Equal(t, 6, n, "runs that ended: %s", group.state(t))
	require.Equal(t, before, made(t, entry(t, cache)))
	t.Log(group.state(t))
	if group.pressed(t) == 0 {
		t.Skip("there was no pressure: this QEMU is content with less; lower tightMiB")
	}
}
