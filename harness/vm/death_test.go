// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// each runs f for every kernel.
func each(t *testing.T, f func(t *testing.T, version string)) {
	t.Helper()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { f(t, version) })
	}
}

// died asserts that err is a death of kind D, told well.
func died[D Death](t *testing.T, m *Machine, err error) D {
	t.Helper()
	var d D
	require.Truef(t, errors.As(err, &d), "%T: %+v", err, err)
	var any Death
	require.ErrorAs(t, err, &any)
	require.NotContains(t, err.Error(), "\n", "one line")
	require.Positive(t, d.Seen().After)
	require.Equal(t, err.Error(), fmt.Sprint(err))
	full := fmt.Sprintf("%+v", err)
	require.True(t, strings.HasPrefix(full, err.Error()+"\n"))
	if m != nil {
		require.Contains(t, full, "READY", "the console's last lines")
		cpu, rss := m.Usage()
		require.Positive(t, cpu)
		require.Greater(t, rss, int64(16<<20))
		require.NoError(t, m.LogErr())
		require.False(t, alive(m.Pid()))
		log, err := os.ReadFile(filepath.Join(m.Dir(), "serial.log"))
		require.NoError(t, err)
		require.Contains(t, string(log), "READY")
	}
	t.Log(err)
	return d
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func events(d Death) (names []string) {
	for _, e := range d.Seen().Events {
		names = append(names, e.Event)
	}
	return names
}

func TestExpectedShutdown(t *testing.T) {
	each(t, func(t *testing.T, version string) {
		m := guest(t, version, "poweroff")
		m.ExpectShutdown()
		require.NoError(t, m.Shutdown(t.Context()))
		require.NoError(t, m.Wait())
	})
}

func TestGuestShutdown(t *testing.T) {
	m := guest(t, "6.1", "poweroff")
	died[*GuestShutdown](t, m, m.Wait())
}

func TestGuestReset(t *testing.T) {
	m := guest(t, "6.1", "reset")
	m.ExpectShutdown() // a reset is no power-off
	died[*GuestReset](t, m, m.Wait())
}

// With pvpanic's driver loaded, QEMU tells of the panic, and the report is
// complete nevertheless.
func TestGuestPanic(t *testing.T) {
	each(t, func(t *testing.T, version string) {
		m := guest(t, version, "panic")
		d := died[*GuestPanic](t, m, m.Wait())
		require.Equal(t, "Kernel panic - not syncing: sysrq triggered crash", d.Reason)
		require.Contains(t, events(d), "GUEST_PANICKED")
		require.Contains(t, fmt.Sprintf("%+v", d), "sysrq_handle_crash")
		require.Contains(t, fmt.Sprintf("%+v", d), "Kernel Offset", "printed after pvpanic was told")
	})
}

// Without the driver, the console alone shows it.
func TestGuestPanicOnConsole(t *testing.T) {
	kit := testKit(t, "6.1")
	init, err := guestBinary()
	require.NoError(t, err)
	m := guest(t, "6.1", "exit", func(c *Config) { c.Initrd = initramfs(t, init, nil); c.Kernel = kit.BZImage })
	d := died[*GuestPanic](t, m, m.Wait())
	require.Contains(t, d.Reason, "Attempted to kill init!")
	require.NotContains(t, events(d), "GUEST_PANICKED")
}

// A guest that panics and then hangs is ended, and still a panic.
func TestGuestPanicHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	m := guest(t, "6.1", "panic", func(c *Config) {
		c.Append = append(c.Append, "panic=0") // for ever
	})
	d := died[*GuestPanic](t, m, m.Wait())
	require.GreaterOrEqual(t, d.After, panicGrace)
}

func TestSilence(t *testing.T) {
	t.Parallel() // it mostly waits
	each(t, func(t *testing.T, version string) {
		m := guest(t, version, "hang", func(c *Config) { c.Silence = 4 * time.Second })
		await(t, m, "READY")
		began := time.Now()
		for time.Since(began) < 6*time.Second { // signs of life on the channel keep it going
			select {
			case <-m.Done():
				require.Failf(t, "ended", "%+v", m.Wait())
			case <-time.After(100 * time.Millisecond):
				m.Touch()
			}
		}
		d := died[*Silence](t, m, m.Wait())
		require.Equal(t, 4*time.Second, d.For)
		require.Contains(t, d.Registers, "RIP=")
		require.NotContains(t, d.LastWords, "NMI")
		require.Contains(t, fmt.Sprintf("%+v", d), "NMI received for unknown reason", "it was poked")
	})
}

// A stopped guest says nothing, and is not dead.
func TestStopIsNotSilence(t *testing.T) {
	t.Parallel() // it mostly waits
	m := guest(t, "6.1", "hang", func(c *Config) { c.Silence = 4 * time.Second })
	await(t, m, "READY")
	require.NoError(t, m.Stop(t.Context()))
	require.NoError(t, m.Fate(6*time.Second))
	require.NoError(t, m.Cont(t.Context()))
	died[*Silence](t, m, m.Wait())
}

func TestDeadline(t *testing.T) {
	t.Parallel() // it mostly waits
	inspected := ""
	m := guest(t, "6.1", "hang", func(c *Config) {
		c.Deadline = time.Now().Add(25 * time.Second) // others boot beside it, and it has to
		c.Inspect = func(ctx context.Context, _ *Machine, registers string) {
			if _, limited := ctx.Deadline(); limited {
				inspected = registers
			}
		}
	})
	await(t, m, "READY")
	died[*DeadlineExceeded](t, m, m.Wait())
	require.Contains(t, inspected, "IDT=", "it was looked at before it was ended")
}

func TestCanceled(t *testing.T) {
	why := errors.New("nobody wants it any more")
	for _, test := range []struct {
		name string
		end  func(m *Machine, cancel context.CancelCauseFunc) error
		want error
	}{
		{"context", func(m *Machine, cancel context.CancelCauseFunc) error { cancel(why); return m.Wait() }, why},
		{"kill", func(m *Machine, _ context.CancelCauseFunc) error { m.Kill(); m.Kill(); return m.Wait() }, errKilled},
		{"shutdown", func(m *Machine, _ context.CancelCauseFunc) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			return m.Shutdown(ctx)
		}, context.DeadlineExceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			m, err := startGuest(t, ctx, "6.1", "hang")
			require.NoError(t, err)
			await(t, m, "READY")
			err = test.end(m, cancel)
			died[*Canceled](t, m, err)
			require.ErrorIs(t, err, test.want)
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := startGuest(t, ctx, "6.1", "hang")
	require.ErrorIs(t, err, why)
}

func TestQEMUKilled(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			m := guest(t, "6.1", "hang")
			await(t, m, "READY")
			require.NoError(t, syscall.Kill(m.Pid(), signal))
			d := died[*QEMUKilled](t, m, m.Wait())
			if signal == syscall.SIGTERM { // which QEMU handles
				signal = 0
			}
			require.Equal(t, signal, d.Signal)
		})
	}
}

func TestQEMUExit(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"bad option", func(c *Config) { c.QEMU.Argv = append(c.QEMU.Argv, "-nonsense") }, "-nonsense: invalid option"},
		{"no kernel", func(c *Config) { c.Kernel = "/no/kernel" }, "/no/kernel"},
		{"no memory", func(c *Config) { c.MemMiB = 1 << 28 }, "cannot set up guest memory"},
		{"no program", func(c *Config) { c.QEMU.Argv = []string{"/no/qemu"} }, "no such file"},
		{"not a QEMU", func(c *Config) { c.QEMU.Argv = []string{"sh", "-c", "echo quite another thing >&2; exit 3", "sh"} }, "status 3 (quite another thing)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := startGuest(t, t.Context(), "6.1", "hang", test.change)
			died[*QEMUExit](t, nil, err)
			require.ErrorContains(t, err, test.want)
		})
	}
}
