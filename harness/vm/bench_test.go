// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels/guard"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// floorInit is the least an init can do.
const floorInit = `#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
	static const char line[] = "FLOOR\n";

	if (write(1, line, sizeof(line) - 1) < 0)
		return 1;
	sync();
	return reboot(RB_POWER_OFF);
}
`

// cInit compiles floorInit with the tool root's gcc.
func cInit(b *testing.B) []byte {
	b.Helper()
	a, err := archive()
	require.NoError(b, err)
	root, err := toolroot.Open(b.Context(), a.Store, a)
	require.NoError(b, err)
	dir := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(dir, "init.c"), []byte(floorInit), 0o644))
	var words bytes.Buffer
	err = root.Run(b.Context(), toolroot.Job{
		Argv:   []string{"gcc", "-O2", "-Wall", "-static", "-o", "init", "init.c"},
		Dir:    "/floor",
		Mounts: []toolroot.Bind{{Host: dir, Inside: "/floor", Writable: true}},
		Stdout: &words, Stderr: &words,
	})
	require.NoError(b, err, words.String())
	init, err := os.ReadFile(filepath.Join(dir, "init"))
	require.NoError(b, err)
	return init
}

func eachBench(b *testing.B, f func(b *testing.B, version string, init []byte)) {
	init := cInit(b)
	for _, version := range versions {
		b.Run(version, func(b *testing.B) { f(b, version, init) })
	}
}

// BenchmarkFloor is the plain way to boot under TCG that others are measured
// against: q35, the bzImage, -nodefaults, nothing tuned, a C init that prints
// one line and powers off. cpu-s/op is of the QEMU process.
func BenchmarkFloor(b *testing.B) {
	eachBench(b, func(b *testing.B, version string, init []byte) {
		kit, qemu := testKit(b, version), testQEMU(b)
		args := append(qemu.Argv[1:len(qemu.Argv):len(qemu.Argv)],
			"-machine", "q35", "-accel", "tcg", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
			"-serial", "stdio", "-kernel", kit.BZImage, "-initrd", initramfs(b, init, nil),
			"-append", "console=ttyS0 panic=-1")
		var cpu time.Duration
		for b.Loop() {
			var out bytes.Buffer
			c, err := guard.Command(context.Background(), nil, qemu.Argv[0], args...)
			require.NoError(b, err)
			c.Stdout, c.Stderr = &out, &out
			require.NoError(b, c.Start())
			c.Pid() // the wrapper has done its part
			wrapper := cpuTime(c.Process.Pid)
			require.NoError(b, c.Wait())
			require.Contains(b, out.String(), "FLOOR")
			usage := c.ProcessState.SysUsage().(*syscall.Rusage)
			cpu += time.Duration(usage.Utime.Nano()+usage.Stime.Nano()) - wrapper
		}
		b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	})
}

// BenchmarkMachine boots the same init our way.
func BenchmarkMachine(b *testing.B) {
	eachBench(b, func(b *testing.B, version string, init []byte) {
		kit, qemu, image := testKit(b, version), testQEMU(b), initramfs(b, init, nil)
		var cpu time.Duration
		for b.Loop() {
			m, err := Start(context.Background(), Config{
				QEMU: qemu, Accel: TCG, Kernel: kit.VMLinux, Initrd: image, Dir: b.TempDir(),
			})
			require.NoError(b, err)
			require.NoError(b, m.Shutdown(context.Background()))
			require.Contains(b, m.Serial().Tail(keptLines), "FLOOR")
			m.Channel().Close()
			used, _ := m.Usage()
			cpu += used
		}
		b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	})
}
