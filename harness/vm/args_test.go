// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	qemu7  = QEMU{Argv: []string{"qemu-system-x86_64"}, Version: "7.2.22", Origin: "host"}
	qemu10 = QEMU{
		Argv:    []string{"/root/ld.so", "--library-path", "/root/lib", "/root/bin/qemu-system-x86_64", "-L", "/root/share/qemu"},
		DataDir: "/root/share/qemu", Version: "10.0.13", Origin: "tool",
	}
)

// TestArgs walks accelerators, sizes, QEMU versions and kinds of kernel; the
// golden file of each has one argument a line.
func TestArgs(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  Config
	}{
		{"tcg-qemu7", Config{QEMU: qemu7, Accel: TCG, Kernel: "vmlinux", Initrd: "initramfs.cpio"}},
		{"tcg-qemu7-smp", Config{QEMU: qemu7, Accel: TCG, CPUs: 2, Kernel: "vmlinux", Initrd: "initramfs.cpio"}},
		{"tcg-qemu10", Config{QEMU: qemu10, Accel: TCG, Kernel: "vmlinux", Initrd: "initramfs.cpio"}},
		{"tcg-qemu10-smp", Config{QEMU: qemu10, Accel: TCG, CPUs: 2, MemMiB: 1024, Kernel: "vmlinux", Initrd: "initramfs.cpio"}},
		{"kvm-qemu7", Config{QEMU: qemu7, Accel: KVM, CPUs: 2, Kernel: "vmlinux", Initrd: "initramfs.cpio"}},
		{"kvm-qemu10", Config{QEMU: qemu10, Accel: KVM, Kernel: "vmlinux", Initrd: "initramfs.cpio"}},
		// What a runner with KVM does and this project's own machines cannot: boot
		// for a snapshot, fork it, fork it into one that can be saved again, boot
		// a kernel as distributions ship it.
		{"kvm-qemu7-bzimage", Config{QEMU: qemu7, Accel: KVM, CPUs: 2, MemMiB: 1024, Kernel: "vmlinuz", Initrd: "initramfs.cpio"}},
		{"kvm-qemu10-bzimage", Config{QEMU: qemu10, Accel: KVM, Kernel: "vmlinuz", Initrd: "initramfs.cpio", Append: []string{"nokaslr"}}},
		{"kvm-qemu10-saved", Config{QEMU: qemu10, Accel: KVM, CPUs: 2, Kernel: "vmlinux", Initrd: "initramfs.cpio", RAM: RAM{File: "/s/ram", Shared: true}}},
		{"kvm-qemu7-fork", Config{QEMU: qemu7, Accel: KVM, CPUs: 2, RAM: RAM{File: "/s/ram"}, incoming: &Snapshot{Dir: "/s", Mapped: true}}},
		{"kvm-qemu10-fork", Config{QEMU: qemu10, Accel: KVM, CPUs: 2, RAM: RAM{File: "/s/ram"}, incoming: &Snapshot{Dir: "/s", Mapped: true}}},
		{"kvm-qemu10-layer", Config{QEMU: qemu10, Accel: KVM, CPUs: 2, RAM: RAM{File: "/mine/ram", Shared: true}, incoming: &Snapshot{Dir: "/s", Mapped: true}}},
		{"bzimage", Config{QEMU: qemu7, Accel: TCG, Kernel: "vmlinuz", Append: []string{"rdinit=/bin/x", "quiet"}}},
		{"datadir", Config{QEMU: QEMU{Argv: []string{"q"}, DataDir: "/data", Version: "9.2"}, Accel: TCG, Kernel: "vmlinux"}},
		{"generation", Config{QEMU: qemu10, Accel: TCG, Kernel: "vmlinux", Initrd: "initramfs.cpio", Generation: true}},
		{"generation-fork", Config{QEMU: qemu10, Accel: TCG, Generation: true, incoming: &Snapshot{Dir: "/golden", Mapped: true}}},
		{"record", Config{QEMU: qemu10, Accel: TCG, Kernel: "vmlinux", Shift: new(int), NoChannel: true, Log: &ExecutionLog{File: "/a,b/execution.log"}}},
		{"replay", Config{QEMU: qemu10, Accel: TCG, Kernel: "vmlinux", Shift: new(int), NoChannel: true, Log: &ExecutionLog{File: "/a,b/execution.log", Replay: true}}},
		{"debugger", Config{QEMU: qemu7, Accel: TCG, Kernel: "vmlinux", Extra: []Device{Debugger{Address: "tcp:127.0.0.1:1234", Paused: true}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Dir = "/logs, all"
			args, err := Args(test.cfg)
			require.NoError(t, err)
			golden(t, "args-"+test.name, strings.Join(args, "\n")+"\n")
			again, err := Args(test.cfg)
			require.NoError(t, err)
			require.Equal(t, args, again)
		})
	}
}

// A fork on KVM is the machine that was saved, to the word, but for where its
// memory lies and what it starts from: QEMU says nothing when these differ.
func TestForkOfKVMIsTheSameMachine(t *testing.T) {
	for _, qemu := range []QEMU{qemu7, qemu10} {
		for _, kernel := range []string{"vmlinux", "vmlinuz"} {
			saved := Config{QEMU: qemu, Accel: KVM, CPUs: 2, Kernel: kernel, Initrd: "i", Dir: "/d", RAM: RAM{File: "/s/ram", Shared: true}}
			fork := saved
			fork.RAM, fork.incoming = RAM{File: "/s/ram"}, &Snapshot{Dir: "/s", Mapped: true}
			require.Equal(t, saved.Identity(), fork.Identity())
			want, err := Args(saved)
			require.NoError(t, err)
			got, err := Args(fork)
			require.NoError(t, err)
			const software = 6 // -kernel, -initrd, -append and their values
			want, got = want[:len(want)-software], got[:len(got)-2]
			require.Len(t, got, len(want))
			for i := range want {
				if !strings.Contains(want[i], "memory-backend-file") {
					require.Equal(t, want[i], got[i])
				}
			}
			require.NotContains(t, strings.Join(got, " "), "share=on", "a fork would write to the snapshot's memory")
		}
	}
}

func TestByHand(t *testing.T) {
	line, err := ByHand(Config{QEMU: qemu7, Accel: TCG, Kernel: "/it's here/vmlinux", Append: []string{"a=b"}})
	require.NoError(t, err)
	golden(t, "byhand", line+"\n")
}

// A fork of a machine without a generation id has none, and the other way
// round: QEMU would refuse the device state, or leave the guest's ACPI tables
// pointing at nothing.
func TestGenerationIsIdentity(t *testing.T) {
	with := Config{QEMU: qemu10, Accel: TCG, Kernel: "vmlinux", Generation: true}
	without := with
	without.Generation = false
	require.NotEqual(t, with.Identity(), without.Identity())
	require.Equal(t, with.Identity(), with.Identity(), "the id itself is no part of it")
	_, err := (&Snapshot{Dir: t.TempDir(), Identity: with.Identity()}).Ready(t.Context(), without)
	require.ErrorContains(t, err, "vmgenid")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update to make it")
	require.Equal(t, string(want), got)
}

// Whatever is asked for: extra devices never change what stands before them,
// which is what lets a snapshot's machine be built again.
func TestExtraDevicesComeLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			QEMU:   rapid.SampledFrom([]QEMU{qemu7, qemu10}).Draw(t, "qemu"),
			Accel:  rapid.SampledFrom([]Accel{KVM, TCG}).Draw(t, "accel"),
			CPUs:   rapid.IntRange(1, 8).Draw(t, "cpus"),
			MemMiB: rapid.IntRange(1, 4096).Draw(t, "mem"),
			Kernel: "vmlinux", Initrd: rapid.SampledFrom([]string{"", "i"}).Draw(t, "initrd"),
		}
		plain, err := Args(cfg)
		require.NoError(t, err)
		cfg.Extra = []Device{Debugger{Address: "tcp::1"}}
		more, err := Args(cfg)
		require.NoError(t, err)
		n := len(plain) - 2 // without -append and its value
		require.Equal(t, plain[:n], more[:n])
	})
}

func TestBadConfig(t *testing.T) {
	good := Config{QEMU: qemu7, Accel: TCG, Kernel: "vmlinux"}
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.QEMU.Argv = nil }, "no QEMU program"},
		{func(c *Config) { c.QEMU.Version = "new" }, `"new" is not a version`},
		{func(c *Config) { c.Accel = "auto" }, "neither kvm nor tcg"},
		{func(c *Config) { c.CPUs = -1 }, "-1 virtual CPUs"},
		{func(c *Config) { c.CPUs = 256 }, "256 virtual CPUs"},
		{func(c *Config) { c.MemMiB = -5 }, "-5 MiB"},
		{func(c *Config) { c.Kernel = "" }, "no kernel"},
		{func(c *Config) { c.Log = &ExecutionLog{File: "log"} }, "needs virtual time"},
		{func(c *Config) { c.Log, c.Shift, c.CPUs = &ExecutionLog{File: "log"}, new(int), 2 }, "one virtual CPU, not 2"},
		{func(c *Config) { c.Append = []string{"a\nb"} }, "line break"},
	} {
		cfg := good
		test.change(&cfg)
		_, err := Args(cfg)
		require.ErrorContains(t, err, test.want)
		cfg.Dir = t.TempDir()
		_, err = Start(t.Context(), cfg)
		require.ErrorContains(t, err, test.want)
		entries, _ := os.ReadDir(cfg.Dir)
		require.Empty(t, entries)
	}
	_, err := Args(Config{})
	var all *multierror.Error
	require.True(t, errors.As(err, &all))
	require.Len(t, all.Errors, 4, "everything that is wrong, at once")
	_, err = Start(t.Context(), good)
	require.ErrorContains(t, err, "no folder")
}

func TestDefaults(t *testing.T) {
	cfg, err := Config{QEMU: qemu7, Accel: TCG, Kernel: "k"}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, 1, cfg.CPUs)
	require.Equal(t, 512, cfg.MemMiB)
	require.Equal(t, 60*time.Second, cfg.Silence)
}
