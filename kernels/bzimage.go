// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/u-root/u-root/pkg/boot/bzimage"
)

// BZImage is what the head of a kernel image (bzImage, vmlinuz) says.
type BZImage struct {
	// Release is what `uname -r` prints.
	Release string
	// Build is the rest of the version line, by which two builds of one
	// release differ: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)".
	Build string
	// Is64 says that the kernel runs in 64-bit mode.
	Is64 bool
}

// xlfKernel64 is the flag of a kernel with a 64-bit entry point.
//
// Source: Documentation/arch/x86/boot.rst, xloadflags, bit 0, protocol 2.12.
const xlfKernel64 = 1

// maxVersionLine bounds the version line, in bytes.
const maxVersionLine = 1024

// ReadBZImage reads the head of a kernel image and makes sure that the file
// holds as much as the head says.
//
// Source: Documentation/arch/x86/boot.rst, kernel_version.
func ReadBZImage(f io.ReaderAt) (*BZImage, error) {
	if _, _, err := findPayload(f); err != nil {
		return nil, err
	}
	var h bzimage.LinuxHeader
	if err := binary.Read(io.NewSectionReader(f, 0, 1<<20), binary.LittleEndian, &h); err != nil {
		return nil, err
	}
	if h.Kveraddr == 0 {
		return nil, errors.New("its head names no version (kernel_version is 0)")
	}
	text := make([]byte, maxVersionLine)
	n, err := f.ReadAt(text, int64(h.Kveraddr)+0x200)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	line, _, ok := bytes.Cut(text[:n], []byte{0})
	release, rest, _ := strings.Cut(string(line), " ")
	if !ok || !IsRelease(release) {
		return nil, fmt.Errorf("its head names no version: there stands %.40q", line)
	}
	b := &BZImage{Release: release, Is64: h.Protocolversion < 0x020c || h.XLoadFlags&xlfKernel64 != 0}
	if at := strings.LastIndex(rest, " #"); at >= 0 {
		b.Build = rest[at+1:]
	}
	return b, nil
}

// IsRelease says whether text can be what `uname -r` prints: at least two
// numbers, and nothing that would matter in a path.
func IsRelease(text string) bool {
	return len(text) <= maxRelease && len(Series(text)) >= 3 && strings.Contains(Series(text), ".") &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+~_-") == ""
}

// maxRelease is __NEW_UTS_LEN of the kernel's include/uapi/linux/utsname.h.
const maxRelease = 64
