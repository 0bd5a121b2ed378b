// SPDX-License-Identifier: Apache-2.0

package harness_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// BenchmarkBoot boots to the agent's hello, as with -cold. cpu-s/op is of the
// QEMU process; hello-s/op is the host's wall time. Compare with
// BenchmarkFloor in harness/vm, which is the same machine driven the plain
// way: `go test -bench 'Boot|Floor' -count 5 ./harness/...`, with benchstat.
func BenchmarkBoot(b *testing.B) { benchmarkStart(b, true, false) }

// BenchmarkFork forks to the agent's answer, as every run does, from a QEMU
// that is started for it.
func BenchmarkFork(b *testing.B) { benchmarkStart(b, false, false) }

// BenchmarkReadyFork does so from a QEMU that waits, as in a suite.
func BenchmarkReadyFork(b *testing.B) { benchmarkStart(b, false, true) }

func benchmarkStart(b *testing.B, cold, prefork bool) {
	// 6.6 is built here, and wanted to boot in half of the CPU time of 6.1.
	for _, version := range []string{"6.1", "6.6", "6.12"} {
		b.Run(version, func(b *testing.B) {
			y, kit := benchmarkYard(b, version, prefork)
			start := func() *run.Guest {
				guest, err := y.Boot(b.Context(), run.GuestConfig{Kit: kit, CPUs: 1, Cold: cold, Dir: filepath.Join(b.TempDir(), "vm")})
				require.NoError(b, err)
				return guest
			}
			if !cold { // the snapshot is made, and with prefork a QEMU waits
				require.NoError(b, start().Close(b.Context()))
			}
			var cpu, wall float64
			for b.Loop() {
				guest := start()
				cpu += guest.StartCPU.Seconds()
				wall += guest.StartWall.Seconds()
				require.NoError(b, guest.Close(b.Context()))
			}
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
			b.ReportMetric(wall/float64(b.N), "hello-s/op")
		})
	}
}

// BenchmarkRun is a whole run of cases/testdata/cmdline in a fork, from insmod
// to the verdict, its kernel and its module at hand. cpu-s/op is of the QEMU
// process.
func BenchmarkRun(b *testing.B) {
	for _, version := range []string{"6.1", "6.12"} {
		b.Run(version, func(b *testing.B) {
			y, _ := benchmarkYard(b, version, true)
			var cpu float64
			once := func() {
				used, err := wholeRun(b, y, version)
				require.NoError(b, err)
				cpu += used
			}
			once()
			cpu = 0
			start := time.Now()
			for b.Loop() {
				once()
			}
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
			b.ReportMetric(time.Since(start).Seconds()/float64(b.N), "wall-s/op")
		})
	}
}

// wholeRun is one run as in BenchmarkRun. It gives the CPU seconds of its QEMU.
func wholeRun(b *testing.B, y *run.Yard, version string) (float64, error) {
	found, err := y.Catalogue.Select(b.Context(), version)
	if err != nil {
		return 0, err
	}
	src, err := patch.Open("../cases/testdata/cmdline")
	if err != nil {
		return 0, err
	}
	r, err := y.Run(b.Context(), run.Plan{
		Kernel: found[0], Patches: []*patch.Source{src}, Loads: []load.Spec{},
		Guest: run.GuestConfig{CPUs: 1}, Dir: b.TempDir(),
	})
	if err == nil && r.Verdict != "complete" {
		err = fmt.Errorf("%s: %s", r.Verdict, r.Reason)
	}
	return time.Duration(r.Machine.CPUNS).Seconds(), err
}

// BenchmarkTwoAtOnce does the same runs one after the other and two at a time,
// in turns, so that whatever else the host does weighs on both. ratio is how
// many times the runs a minute two give.
func BenchmarkTwoAtOnce(b *testing.B) {
	for _, version := range []string{"6.1", "6.12"} {
		b.Run(version, func(b *testing.B) {
			y, _ := benchmarkYard(b, version, true)
			const each = 4                    // of either kind, a turn
			_, err := wholeRun(b, y, version) // the snapshot is made
			require.NoError(b, err)
			var took [3]time.Duration
			for b.Loop() {
				for at := 1; at <= 2; at++ {
					start := time.Now()
					var all errgroup.Group
					all.SetLimit(at)
					for range each {
						all.Go(func() error { _, err := wholeRun(b, y, version); return err })
					}
					require.NoError(b, all.Wait())
					took[at] += time.Since(start)
				}
			}
			perMinute := func(at int) float64 { return float64(each*b.N) / took[at].Minutes() }
			b.ReportMetric(perMinute(1), "runs/min")
			b.ReportMetric(perMinute(2), "runs/min-two")
			b.ReportMetric(perMinute(2)/perMinute(1), "ratio")
		})
	}
}

// BenchmarkPSS is the memory that a fork adds, while another fork of the same
// snapshot lives, as in a suite: the proportional set size of its QEMU at its
// first answer, and once a live patch was applied and reverted in it.
func BenchmarkPSS(b *testing.B) {
	for _, version := range []string{"6.1", "6.12"} {
		b.Run(version, func(b *testing.B) {
			y, kit := benchmarkYard(b, version, false)
			src, err := patch.Open("../cases/testdata/cmdline")
			require.NoError(b, err)
			m, err := y.Builder.Build(b.Context(), src, kit)
			require.NoError(b, err)
			fork := func() *run.Guest {
				guest, err := y.Boot(b.Context(), run.GuestConfig{Kit: kit, CPUs: 1, Dir: b.TempDir()})
				require.NoError(b, err)
				require.Equal(b, run.StartFork, guest.Origin.Start)
				return guest
			}
			other := fork()
			var fresh, used float64
			for b.Loop() {
				guest := fork()
				fresh += pssMB(b, guest.Machine.Pid())
				apply, err := guest.Apply(b.Context(), m, 0)
				require.NoError(b, err)
				require.True(b, apply.Done())
				revert, err := guest.Disable(b.Context(), m, 0)
				require.NoError(b, err)
				require.True(b, revert.Done())
				used += pssMB(b, guest.Machine.Pid())
				require.NoError(b, guest.Close(b.Context()))
			}
			require.NoError(b, other.Close(b.Context()))
			b.ReportMetric(fresh/float64(b.N), "pss-MB")
			b.ReportMetric(used/float64(b.N), "pss-MB-used")
		})
	}
}

// pssMB reads /proc/PID/smaps_rollup, whose numbers are in KiB.
func pssMB(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	require.NoError(b, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kib, err := strconv.Atoi(f[1])
			require.NoError(b, err)
			return float64(kib) * 1024 / 1e6
		}
	}
	b.Fatalf("no Pss in smaps_rollup of process %d", pid)
	return 0
}

func benchmarkYard(b *testing.B, version string, prefork bool) (*run.Yard, *kernels.Kit) {
	b.Helper()
	y, err := run.NewYard(run.Options{
		Accel: os.Getenv("SWITCHYARD_ACCEL"), QEMU: os.Getenv("SWITCHYARD_QEMU"), Prefork: prefork,
		VMs: 16, // no waiting for the guests of other programs: it is not what is measured
	})
	require.NoError(b, err)
	b.Cleanup(y.Close)
	found, err := y.Catalogue.Select(b.Context(), version)
	var none *kernels.NoMatchError
	if errors.As(err, &none) {
		b.Skip(err)
	}
	require.NoError(b, err)
	if found[0].FromSource && !found[0].Cached {
		b.Skipf("kernel %s is not built: `switchyard kernels build %[1]s`", found[0].Release)
	}
	kit, err := y.Catalogue.Get(b.Context(), found[0])
	require.NoError(b, err)
	return y, kit
}
