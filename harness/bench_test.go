// SPDX-License-Identifier: Apache-2.0

package harness_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/run"
)

// BenchmarkBoot boots to the agent's hello, as every run does. cpu-s/op is of
// the QEMU process; hello-s/op is the host's wall time. Compare with
// BenchmarkFloor in harness/vm, which is the same machine driven the plain
// way: `go test -bench 'Boot|Floor' -count 5 ./harness/...`, with benchstat.
func BenchmarkBoot(b *testing.B) {
	for _, version := range []string{"6.1", "6.12"} {
		b.Run(version, func(b *testing.B) { benchmarkBoot(b, version) })
	}
}

func benchmarkBoot(b *testing.B, version string) {
	ctx := context.Background()
	y, err := run.NewYard(run.Options{Accel: os.Getenv("SWITCHYARD_ACCEL"), QEMU: os.Getenv("SWITCHYARD_QEMU")})
	require.NoError(b, err)
	found, err := y.Catalogue.Select(ctx, version)
	require.NoError(b, err)
	kit, err := y.Catalogue.Get(ctx, found[0])
	require.NoError(b, err)
	var cpu, wall float64
	for b.Loop() {
		guest, err := y.Boot(ctx, run.GuestConfig{Kit: kit, CPUs: 1, Dir: filepath.Join(b.TempDir(), "vm")})
		require.NoError(b, err)
		cpu += guest.StartCPU.Seconds()
		wall += guest.StartWall.Seconds()
		require.NoError(b, guest.Close(ctx))
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(wall/float64(b.N), "hello-s/op")
}
