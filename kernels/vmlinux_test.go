// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/boot/bzimage"
)

// bzImage wraps a payload as the kernel's build does.
func bzImage(t *testing.T, payload []byte) []byte {
	t.Helper()
	h := bzimage.LinuxHeader{HeaderMagic: bzimage.HeaderMagic, Protocolversion: 0x20f, SetupSects: 2, PayloadOffset: 100, PayloadSize: uint32(len(payload))}
	var b bytes.Buffer
	require.NoError(t, binary.Write(&b, binary.LittleEndian, &h))
	image := make([]byte, 3*512+100)
	copy(image, b.Bytes())
	return append(append(image, payload...), make([]byte, 64)...)
}

func sized(packed []byte, size int) []byte {
	return binary.LittleEndian.AppendUint32(packed, uint32(size))
}

func lz4Legacy(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	require.NoError(t, w.Apply(lz4.LegacyOption(true)))
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestExtractVMLinux(t *testing.T) {
	kernel := tinyKernel("Xen", xenElfnotePhys32Entry)
	n := len(kernel)
	zst := pack(t, ".zst", kernel)
	for name, c := range map[string]struct {
		image []byte
		err   string
	}{
		"gzip":               {bzImage(t, pack(t, ".gz", kernel)), ""},
		"xz":                 {bzImage(t, sized(pack(t, ".xz", kernel), n)), ""},
		"zstd":               {bzImage(t, sized(zst, n)), ""},
		"lz4":                {bzImage(t, sized(lz4Legacy(t, kernel), n)), ""},
		"wrong size":         {bzImage(t, sized(zst, n+1)), "damaged"},
		"wrong size, xz":     {bzImage(t, sized(pack(t, ".xz", kernel), n-1)), "damaged"},
		"damaged":            {bzImage(t, sized(zst[:len(zst)/2], n)), "unpack payload"},
		"absurd size":        {bzImage(t, sized(zst, 1<<31)), "claims"},
		"truncated":          {bzImage(t, sized(zst, n))[:2000], "truncated"},
		"no header":          {make([]byte, 4096), "no kernel image"},
		"short":              {[]byte("MZ"), "too short"},
		"unknown packing":    {bzImage(t, sized([]byte("LZO! and more"), n)), "not known"},
		"no PVH note":        {bzImage(t, pack(t, ".gz", tinyKernel("GNU", 18))), "CONFIG_PVH"},
		"other Xen note":     {bzImage(t, pack(t, ".gz", tinyKernel("Xen", 17))), "CONFIG_PVH"},
		"payload is no ELF":  {bzImage(t, pack(t, ".gz", []byte("hello hello hello"))), "no ELF"},
		"nothing in payload": {bzImage(t, nil), "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "vmlinux")
			require.NoError(t, os.WriteFile(from, c.image, 0o644))
			err := ExtractVMLinux(from, to)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				assert.NoFileExists(t, to)
				return
			}
			require.NoError(t, err)
			got, err := os.ReadFile(to)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(kernel, got))
		})
	}
}

func FuzzExtractVMLinux(f *testing.F) {
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, image []byte) {
		dir := t.TempDir()
		from := filepath.Join(dir, "vmlinuz")
		require.NoError(t, os.WriteFile(from, image, 0o644))
		if ExtractVMLinux(from, filepath.Join(dir, "vmlinux")) != nil {
			assert.NoFileExists(t, filepath.Join(dir, "vmlinux"))
		}
	})
}
