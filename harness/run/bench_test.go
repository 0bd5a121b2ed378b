// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// BenchmarkFork forks, waits for the agent's answer and ends the guest:
// nothing else. With the two below it says what of BenchmarkRun in package
// harness is the fork's, what the patch's, and what our looking costs.
func BenchmarkFork(b *testing.B) {
	floor(b, func(context.Context, *Guest, *patch.Module) {})
}

// BenchmarkFloor is the least that a live patch can cost in a fork: the module
// is sent and inserted, switched, disabled and removed, and nobody looks: no
// watch, no probe, no load, no reading of modules and logs.
func BenchmarkFloor(b *testing.B) {
	floor(b, func(ctx context.Context, g *Guest, m *patch.Module) {
		inside := filepath.Join(guestModules, m.Name+".ko")
		file, err := os.Open(m.Path)
		require.NoError(b, err)
		defer file.Close()
		info, err := file.Stat()
		require.NoError(b, err)
		require.NoError(b, g.Client.Put(ctx, inside, 0o644, file, info.Size()))
		require.NoError(b, g.Client.Load(ctx, inside, ""))
		settle(b, ctx, g, m.Name, "0\n")
		require.NoError(b, g.Client.SetEnabled(ctx, m.Name, false))
		settle(b, ctx, g, m.Name, "")
		require.NoError(b, g.Client.Unload(ctx, m.Name))
	})
}

// settle asks until `transition` of the patch reads want; "" for a patch that
// is gone, as a disabled one is from 5.1 on.
func settle(b *testing.B, ctx context.Context, g *Guest, name, want string) {
	b.Helper()
	for {
		text, err := g.Client.ReadFile(ctx, filepath.Join("/sys/kernel/livepatch", name, "transition"))
		if err != nil {
			require.ErrorIs(b, err, os.ErrNotExist)
			require.Empty(b, want, "the patch is gone")
			return
		}
		if want != "" && string(text) == want {
			return
		}
		require.NoError(b, b.Context().Err())
	}
}

func floor(b *testing.B, do func(context.Context, *Guest, *patch.Module)) {
	for _, version := range versions {
		b.Run(version, func(b *testing.B) {
			y, err := NewYard(Options{Accel: os.Getenv("SWITCHYARD_ACCEL"), QEMU: os.Getenv("SWITCHYARD_QEMU"), VMs: 16})
			require.NoError(b, err)
			b.Cleanup(y.Close)
			found, err := y.Catalogue.Select(b.Context(), version)
			require.NoError(b, err)
			kit, err := y.Kit(b.Context(), found[0])
			require.NoError(b, err)
			src, err := patch.Open("../../cases/testdata/cmdline")
			require.NoError(b, err)
			m, err := y.Builder.Build(b.Context(), src, kit)
			require.NoError(b, err)
			cfg := GuestConfig{Kit: kit, CPUs: 1, Dir: b.TempDir()}
			machine, err := y.machine(b.Context(), cfg)
			require.NoError(b, err)
			s, err := y.golden(b.Context(), cfg, machine)
			require.NoError(b, err)
			var cpu float64
			for b.Loop() {
				machine.Dir = b.TempDir()
				g, err := newGuest(cfg, machine)
				require.NoError(b, err)
				began := time.Now()
				vm, err := y.revive(b.Context(), s, machine)
				require.NoError(b, err)
				greeting := channel.Greeting{Wall: time.Now().UnixNano()}
				_, _ = rand.Read(greeting.Nonce[:])
				require.NoError(b, g.greet(b.Context(), vm, greeting, began))
				do(b.Context(), g, m)
				require.NoError(b, vm.Discard())
				used, _ := vm.Usage()
				cpu += used.Seconds()
				require.NoError(b, g.Close(b.Context()))
			}
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
		})
	}
}
