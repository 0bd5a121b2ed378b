// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// pack compresses as the suffix says.
func pack(t *testing.T, suffix string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch suffix {
	case ".xz":
		w, err := xz.WriterConfig{CheckSum: xz.CRC32}.NewWriter(&b) // the kernel knows no other
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case ".zst":
		w, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case ".gz":
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	default:
		return data
	}
	return b.Bytes()
}

func moduleKit(t *testing.T) *Kit {
	t.Helper()
	k := &Kit{Release: "6.1.0-test", ModulesDir: t.TempDir()}
	for path, text := range map[string][]byte{
		"kernel/drivers/virtio/virtio-pci.ko":     tinyModule("depends=virtio,virtio_ring"),
		"kernel/drivers/virtio/virtio_ring.ko.xz": pack(t, ".xz", tinyModule("depends=virtio")),
		"kernel/drivers/virtio/virtio.ko.zst":     pack(t, ".zst", tinyModule("depends=", "license=GPL")),
		"kernel/drivers/misc/lone.ko.gz":          pack(t, ".gz", tinyModule("license=GPL", "alias=a", "alias=b", "vermagic=6.1.0-test SMP ")),
		"kernel/drivers/misc/wants.ko":            tinyModule("depends=not_there"),
		"kernel/drivers/misc/round.ko":            tinyModule("depends=about"),
		"kernel/drivers/misc/about.ko":            tinyModule("depends=round"),
		"kernel/drivers/misc/needs-builtin.ko":    tinyModule("depends=virtio_console"),
		"kernel/drivers/misc/damaged.ko.xz":       []byte("\xfd7zXZ\x00 no"),
		"modules.builtin":                         []byte("kernel/drivers/char/virtio_console.ko\nkernel/fs/ext4/ext4.ko\n"),
	} {
		full := filepath.Join(k.ModulesDir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, text, 0o644))
	}
	return k
}

func TestModuleFiles(t *testing.T) {
	k := moduleKit(t)
	for _, c := range []struct{ names, files, builtin []string }{
		{[]string{"virtio_pci"}, []string{"virtio.ko.zst", "virtio_ring.ko.xz", "virtio-pci.ko"}, nil},
		{[]string{"virtio-ring", "virtio-pci", "virtio_pci"}, []string{"virtio.ko.zst", "virtio_ring.ko.xz", "virtio-pci.ko"}, nil},
		{[]string{"virtio-console", "lone", "ext4"}, []string{"lone.ko.gz"}, []string{"virtio-console", "ext4"}},
		{[]string{"needs_builtin"}, []string{"needs-builtin.ko"}, nil},
		{[]string{"round"}, []string{"about.ko", "round.ko"}, nil},
		{nil, nil, nil},
	} {
		files, builtin, err := k.ModuleFiles(c.names...)
		require.NoError(t, err, c.names)
		var short []string
		for _, f := range files {
			short = append(short, filepath.Base(f))
		}
		assert.Equal(t, c.files, short, c.names)
		assert.Equal(t, c.builtin, builtin, c.names)
	}
	for _, name := range []string{"absent", "wants"} {
		_, _, err := k.ModuleFiles(name)
		var no *NoModuleError
		require.ErrorAs(t, err, &no)
	}
	_, _, err := k.ModuleFiles("damaged")
	require.ErrorContains(t, err, "damaged.ko.xz")
	_, _, err = (&Kit{Release: "bare"}).ModuleFiles("virtio")
	require.ErrorContains(t, err, "virtio")
}

func TestModInfo(t *testing.T) {
	k := moduleKit(t)
	ko, err := ReadModule(filepath.Join(k.ModulesDir, "kernel/drivers/misc/lone.ko.gz"))
	require.NoError(t, err)
	info, err := ModInfo(ko)
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"license": {"GPL"}, "alias": {"a", "b"}, "vermagic": {"6.1.0-test SMP "}}, info)
	magic, err := Vermagic(ko)
	require.NoError(t, err)
	assert.Equal(t, "6.1.0-test SMP ", magic)
	_, err = Vermagic(tinyModule("license=GPL"))
	require.ErrorContains(t, err, "vermagic")
	_, err = ModInfo([]byte("#!/bin/sh\n"))
	require.Error(t, err)
	_, err = ModInfo(tinyKernel("Xen", 18))
	require.ErrorContains(t, err, ".modinfo")
}

func FuzzModInfo(f *testing.F) {
	f.Add(tinyModule("depends=a,b", "vermagic=x"))
	f.Add(tinyKernel("Xen", 18))
	f.Fuzz(func(t *testing.T, ko []byte) {
		_, _ = ModInfo(ko)
		_, _ = HasPVHNote(bytes.NewReader(ko))
	})
}
