// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"io"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	goqmp "github.com/digitalocean/go-qemu/qmp"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// TestGatherIsBounded: a dead machine whose sockets somebody still holds, so that
// neither ends, is told of all the same.
func TestGatherIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen, held := io.Pipe()
		defer held.Close()
		m := &Machine{process: &process{stderr: &stderrTail{}}, start: time.Now()}
		m.console = newConsole(screen, held, m.start, io.Discard, func() {})
		e := &Evidence{}
		m.gather(e, make(chan goqmp.Event), func(goqmp.Event) {})
		require.LessOrEqual(t, time.Since(m.start), 2*deathGrace)
	})
}

// TestStuckQEMU: a QEMU that was killed and does not end, stuck in the host's
// kernel, is told of as the death that it was to be.
func TestStuckQEMU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen, held := io.Pipe()
		defer held.Close()
		m := &Machine{
			process: &process{stderr: &stderrTail{}, child: &guard.Child{Cmd: &exec.Cmd{}}},
			start:   time.Now(), kill: make(chan error, 1), done: make(chan struct{}),
		}
		m.console = newConsole(screen, held, m.start, io.Discard, func() {})
		go m.watch(t.Context(), make(chan goqmp.Event), make(chan error))
		m.Kill()
		require.ErrorIs(t, m.Wait(), errKilled)
		require.LessOrEqual(t, time.Since(m.start), stuckGrace+2*deathGrace)
	})
}

// TestPollOfTheDead: what was asked of a machine has not come about because it
// ended, also if that was a good end.
func TestPollOfTheDead(t *testing.T) {
	never := func() (bool, error) { return false, nil }
	why := errors.New("why")
	m := &Machine{done: make(chan struct{}), death: why}
	close(m.done)
	require.ErrorIs(t, m.poll(t.Context(), never), why)
	m.death = nil
	require.Error(t, m.poll(t.Context(), never))
}
