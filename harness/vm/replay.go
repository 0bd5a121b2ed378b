// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ExecutionLog is QEMU's log of a run: what reached the guest from outside
// (clocks, input, the order of its devices' work), each with the number of
// instructions before it. A QEMU of the same version that plays it comes the
// same way to the same end.
//
// A machine with one is booted: QEMU 10 records a fork, but in its replay gives
// up. What the guest hears by a virtio-serial port is not recorded, only by
// -serial.
// https://www.qemu.org/docs/master/devel/replay.html
type ExecutionLog struct {
	File   string
	Replay bool
}

func (l *ExecutionLog) option() string {
	if l == nil {
		return ""
	}
	mode := "record"
	if l.Replay {
		mode = "replay"
	}
	return ",rr=" + mode + ",rrfile=" + strings.ReplaceAll(l.File, ",", ",,")
}

// ErrLogUnfinished says that the QEMU that wrote a log was killed.
var ErrLogUnfinished = errors.New("the execution log has no end: QEMU was killed before it could close it")

// Whole says whether the log was closed, which is when QEMU writes the version
// at its beginning (replay_finish).
func (l *ExecutionLog) Whole() error {
	f, err := os.Open(l.File)
	if err != nil {
		return err
	}
	defer f.Close()
	var version [4]byte
	if _, err := io.ReadFull(f, version[:]); err != nil || version == [4]byte{} {
		return ErrLogUnfinished
	}
	return nil
}

// IgnoredWatchdog is a Watchdog that stops nothing, for a machine that is not
// going to be saved.
type IgnoredWatchdog struct{}

func (IgnoredWatchdog) Cmdline() []string {
	return []string{"-device", "ib700", "-action", "watchdog=none"}
}
func (IgnoredWatchdog) KArgs() []string { return nil }

// Instructions is how many the guest has executed, of a machine with an
// ExecutionLog.
func (m *Machine) Instructions(ctx context.Context) (int64, error) {
	var answer struct{ ICount int64 }
	err := m.Execute(ctx, "query-replay", nil, &answer)
	return answer.ICount, err
}

// StopAt has a replay stand still once that many instructions were executed.
// The machine must be short of it. AwaitStop waits for it.
func (m *Machine) StopAt(ctx context.Context, instructions int64) error {
	return m.Execute(ctx, "replay-break", map[string]any{"icount": instructions}, nil)
}

// AwaitStop waits until the machine stands still. If it ends before, the error
// is its death, or nil for one that powered itself off; then Done is closed.
func (m *Machine) AwaitStop(ctx context.Context) error {
	var status struct{ Running bool }
	err := m.poll(ctx, func() (bool, error) {
		err := m.Execute(ctx, "query-status", nil, &status)
		if err != nil {
			if death := m.Fate(deathGrace); death != nil || closed(m.done) {
				return true, death
			}
		}
		return !status.Running, err
	})
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Registers are the virtual CPU's, as QEMU's monitor prints them.
func (m *Machine) Registers(ctx context.Context) (string, error) {
	return m.monitorCommand(ctx, "info registers")
}

// stamp is what the console's log has before each line, and its first line.
var stamp = regexp.MustCompile(`(?m)^(?: *\d+\.\d{6}  |# Serial console\..*\n)`)

// ConsoleText is what the guest wrote to its console, from the log in a
// machine's folder, without the host's times.
func ConsoleText(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, serialFile))
	if err != nil {
		return nil, fmt.Errorf("console of the guest: %w", err)
	}
	return stamp.ReplaceAll(text, nil), nil
}
