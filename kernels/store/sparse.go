// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// onDisk is what a file takes of the disk, in bytes: less than its size if it
// has holes.
func onDisk(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}

// hasHoles says whether a file takes much less of the disk than its size: a
// guest's memory, of which most was never written.
func hasHoles(info fs.FileInfo) bool { return onDisk(info) < info.Size()*3/4 }

const page = 4096

// hashPages is a SHA-256 over a file's pages that hold anything, each with its
// place, in hex. It says as much as that of the whole file, and no more: a hole
// and a page of zeros are the same, so that a copy without the holes is still
// whole. But it need not read the holes, which takes ten times as long.
func hashPages(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buf, zeros := make([]byte, 256*page), make([]byte, page)
	for at := int64(0); ; {
		if at, err = f.Seek(at, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
			return hex.EncodeToString(h.Sum(nil)), nil // nothing but a hole
		}
		if err != nil {
			return "", fmt.Errorf("hash %s: %w", path, err)
		}
		at -= at % page
		n, err := f.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("hash %s: %w", path, err)
		}
		for p := 0; p < n; p += page {
			content := buf[p:min(p+page, n)]
			if bytes.Equal(content, zeros[:len(content)]) {
				continue
			}
			var place [8]byte
			binary.LittleEndian.PutUint64(place[:], uint64(at)+uint64(p))
			h.Write(place[:])
			h.Write(content)
		}
		at += int64(n)
	}
}
