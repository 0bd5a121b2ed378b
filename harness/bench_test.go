// SPDX-License-Identifier: Apache-2.0

package harness_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
			found, err := y.Catalogue.Select(b.Context(), version)
			require.NoError(b, err)
			src, err := patch.Open("../cases/testdata/cmdline")
			require.NoError(b, err)
			var cpu float64
			once := func() {
				r, err := y.Run(b.Context(), run.Plan{
					Kernel: found[0], Patches: []*patch.Source{src}, Loads: []load.Spec{},
					Guest: run.GuestConfig{CPUs: 1}, Dir: b.TempDir(),
				})
				require.NoError(b, err)
				require.Equal(b, "complete", r.Verdict, r.Reason)
				cpu += time.Duration(r.Machine.CPUNS).Seconds()
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

func benchmarkYard(b *testing.B, version string, prefork bool) (*run.Yard, *kernels.Kit) {
	b.Helper()
	y, err := run.NewYard(run.Options{Accel: os.Getenv("SWITCHYARD_ACCEL"), QEMU: os.Getenv("SWITCHYARD_QEMU"), Prefork: prefork})
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
