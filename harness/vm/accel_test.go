// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// TestChooseAccel asks this very host. Whatever it can do: auto finds an
// accelerator that boots a guest, and asks once only.
func TestChooseAccel(t *testing.T) {
	kit, qemu, dir := testKit(t, "6.1"), testQEMU(t), t.TempDir()
	choose := func(want string) (Accel, string, error) {
		return ChooseAccel(t.Context(), want, qemu, kit.VMLinux, dir)
	}
	accel, why, err := choose("auto")
	require.NoError(t, err)
	t.Log(accel, why)
	require.NotEmpty(t, why)
	m := guest(t, "6.1", "poweroff", func(c *Config) { c.Accel = accel })
	require.NoError(t, m.Shutdown(t.Context()))

	again, whyAgain, err := ChooseAccel(t.Context(), "", qemu, "/no/kernel", dir)
	require.NoError(t, err, "the kernel is not asked for: the answer is cached")
	require.Equal(t, accel, again)
	require.Equal(t, why, whyAgain)

	_, _, err = choose("kvm")
	if accel == KVM {
		require.NoError(t, err)
	} else {
		var lacking *kernels.Lacking
		require.True(t, errors.As(err, &lacking), "%v", err)
		require.Contains(t, err.Error(), "-accel tcg")
	}
	accel, _, err = choose("tcg")
	require.NoError(t, err)
	require.Equal(t, TCG, accel)
	_, _, err = choose("hvf")
	require.ErrorContains(t, err, "auto, kvm or tcg")
}

// What stands between a user and /dev/kvm, and what to do about it.
func TestNoKVM(t *testing.T) {
	before := kvmDevice
	t.Cleanup(func() { kvmDevice = before })
	choose := func(want string) (Accel, string, error) {
		return ChooseAccel(t.Context(), want, qemu7, "/no/kernel", t.TempDir())
	}

	kvmDevice = filepath.Join(t.TempDir(), "kvm")
	accel, why, err := choose("auto")
	require.NoError(t, err)
	require.Equal(t, TCG, accel)
	require.Contains(t, why, "no such file")
	_, _, err = choose("kvm")
	var lacking *kernels.Lacking
	require.True(t, errors.As(err, &lacking))
	require.ErrorContains(t, err, "kvm_intel or kvm_amd")

	if os.Geteuid() == 0 {
		// Root opens everything but a folder for writing, another error.
		kvmDevice = t.TempDir()
		_, _, err = choose("kvm")
		require.True(t, errors.As(err, &lacking))
		return
	}
	require.NoError(t, os.WriteFile(kvmDevice, nil, 0))
	_, _, err = choose("kvm")
	require.True(t, errors.As(err, &lacking))
	require.ErrorContains(t, err, "usermod -aG kvm")
	require.ErrorContains(t, err, "udev rule")
}

// TestJudgeProbe walks what a probe guest can do.
func TestJudgeProbe(t *testing.T) {
	e := func(lines ...string) *Evidence {
		e := &Evidence{After: time.Second, Dir: "/dir"}
		for _, l := range lines {
			e.Console = append(e.Console, Line{Text: l})
		}
		return e
	}
	stderr := func(text string) *Evidence { return &Evidence{Stderr: text} }
	for _, test := range []struct {
		name  string
		death error
		works bool
		want  string // of the reason or the error
		fails bool
	}{
		{"comes up", &GuestPanic{e("x"), "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"}, true, "came up", false},
		{"other panic", &GuestPanic{e("x"), "Kernel panic - not syncing: IO-APIC + timer doesn't work!"}, false, "IO-APIC", false},
		{"hangs at once", &Silence{e(), 5 * time.Second, ""}, false, "hung with it without a line on the console", false},
		{"hangs later", &Silence{e("a", "b"), 5 * time.Second, ""}, false, "hung with it after 2 lines", false},
		{"never ends", &DeadlineExceeded{e("a")}, false, "hung", false},
		{"resets", &GuestReset{e()}, false, "died with it", false},
		{"killed", &QEMUKilled{e(), 9, nil}, false, "died with it", false},
		{"QEMU aborts", &QEMUKilled{stderr("error: failed to set MSR 0x10a\nqemu: Assertion failed.\n"), 6, nil}, false, "failed with it: qemu: Assertion", false},
		{"QEMU refuses", &QEMUExit{stderr("x\nqemu: failed to initialize kvm: Permission denied\n"), 1, ""}, false, "refused it: qemu: failed to initialize kvm", false},
		{"no kernel", &QEMUExit{stderr("could not open kernel file"), 1, ""}, false, "could not open kernel file", true},
		{"canceled", &Canceled{e(), errKilled}, false, "killed", true},
		{"no machine", errors.New("no sockets"), false, "no sockets", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := judgeProbe(test.death, time.Second)
			require.Equal(t, test.works, p.Works)
			if test.fails {
				require.ErrorContains(t, err, test.want)
				return
			}
			require.NoError(t, err)
			require.Contains(t, p.Reason, test.want)
			require.Equal(t, time.Second, p.Took)
		})
	}
}

// Another QEMU, even at the same path, is asked anew.
func TestProbeKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "qemu")
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o755))
	q := QEMU{Argv: []string{path}, Version: "7.2.1"}
	one := probeKey(q)
	require.Equal(t, one, probeKey(q))
	require.NoError(t, os.WriteFile(path, []byte("another"), 0o755))
	require.NotEqual(t, one, probeKey(q))
	q.Version = "7.2.2"
	require.NotEqual(t, one, probeKey(q))
}
