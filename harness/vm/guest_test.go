// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/cpio"

	"github.com/switchyard-project/switchyard/kernels"
)

// versions are the kernels that the machines of these tests run.
var versions = []string{"6.1", "6.12"}

// guestBinary builds the test guest's init, once.
var guestBinary = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "switchyard-guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest: %w\n%s", err, text)
	}
	return os.ReadFile(out)
})

// initramfs packs init and the modules it loads.
func initramfs(t testing.TB, init []byte, modules []string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "initramfs.cpio")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	w := cpio.Newc.Writer(f)
	put := func(r cpio.Record) { require.NoError(t, w.WriteRecord(r)) }
	put(cpio.Directory("dev", 0o755))
	put(cpio.CharDev("dev/console", 0o600, 5, 1))
	put(cpio.StaticFile("init", string(init), 0o755))
	put(cpio.Directory("modules", 0o755))
	for i, file := range modules {
		text, err := kernels.ReadModule(file)
		require.NoError(t, err)
		put(cpio.StaticFile(fmt.Sprintf("modules/%02d.ko", i), string(text), 0o644))
	}
	require.NoError(t, cpio.WriteTrailer(w))
	return path
}

// guestImage is the initramfs of the test guest for kit.
func guestImage(t testing.TB, kit *kernels.Kit) string {
	t.Helper()
	init, err := guestBinary()
	require.NoError(t, err)
	modules, _, err := kit.ModuleFiles("virtio_pci", "virtio_console", "pvpanic-mmio")
	require.NoError(t, err)
	return initramfs(t, init, modules)
}

// guest is a machine that behaves as told; the test ends it.
func guest(t testing.TB, version, behaviour string, change ...func(*Config)) *Machine {
	t.Helper()
	m, err := startGuest(t, context.Background(), version, behaviour, change...)
	require.NoError(t, err)
	return m
}

func startGuest(t testing.TB, ctx context.Context, version, behaviour string, change ...func(*Config)) (*Machine, error) {
	t.Helper()
	kit := testKit(t, version)
	cfg := Config{
		QEMU: testQEMU(t), Accel: TCG, Kernel: kit.VMLinux, Initrd: guestImage(t, kit),
		Append: []string{"guest=" + behaviour}, Dir: t.TempDir(),
	}
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if limit, ok := d.Deadline(); ok {
			cfg.Deadline = limit.Add(-10 * time.Second)
		}
	}
	for _, f := range change {
		f(&cfg)
	}
	m, err := Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		m.Kill()
		<-m.Done()
		m.Channel().Close()
		if t.Failed() {
			t.Logf("last console lines:\n%s", m.Serial().Tail(30))
		}
	})
	return m, nil
}

// await waits for a console line with text.
func await(t testing.TB, m *Machine, text string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for line := range m.Serial().Subscribe(ctx) {
		if strings.Contains(line.Text, text) {
			return
		}
	}
	require.Failf(t, "console ended", "without %q: %+v", text, m.Wait())
}
