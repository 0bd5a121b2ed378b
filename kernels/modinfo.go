// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// moduleSuffixes are the names module files end in; the kernel's
// CONFIG_MODULE_COMPRESS_* decide which.
var moduleSuffixes = []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"}

// IsModuleFile says whether a file is, by its name, a module.
func IsModuleFile(name string) bool {
	return slices.ContainsFunc(moduleSuffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// maxModule bounds what a compressed module may unpack to, in bytes; the
// biggest of Debian's has 14 MB.
const maxModule = 256 << 20

// ReadModule reads a module file (.ko, .ko.xz, .ko.zst, .ko.gz) and gives the
// uncompressed ELF bytes.
func ReadModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	switch {
	case strings.HasSuffix(path, ".xz"):
		r, err = xz.NewReader(f, 0)
	case strings.HasSuffix(path, ".zst"):
		var d *zstd.Decoder
		if d, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	case strings.HasSuffix(path, ".gz"):
		r, err = gzip.NewReader(f)
	}
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", path, err)
	}
	ko, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", path, err)
	}
	if len(ko) > maxModule {
		return nil, fmt.Errorf("read module %s: it unpacks to more than %d MiB", path, maxModule>>20)
	}
	return ko, nil
}

// ModInfo gives the .modinfo section of an uncompressed module: each key
// ("license", "depends", "vermagic", "alias") with its values in order.
func ModInfo(ko []byte) (info map[string][]string, err error) {
	// debug/elf promises no panics on bad input only for NewFile.
	defer func() {
		if p := recover(); p != nil {
			info, err = nil, fmt.Errorf("read module: damaged ELF file: %v", p)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("read module: it has no .modinfo section, so it is no kernel module")
	}
	text, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read module: section .modinfo: %w", err)
	}
	info = map[string][]string{}
	for line := range bytes.SplitSeq(text, []byte{0}) {
		if key, value, ok := strings.Cut(string(line), "="); ok {
			info[key] = append(info[key], value)
		}
	}
	return info, nil
}

// Vermagic is the string that the kernel compares with its own before it
// loads the module: "6.1.0-56-cloud-amd64 SMP preempt mod_unload modversions ".
func Vermagic(ko []byte) (string, error) {
	info, err := ModInfo(ko)
	if err != nil {
		return "", err
	}
	if len(info["vermagic"]) == 0 {
		return "", fmt.Errorf("read module: it has no vermagic")
	}
	return info["vermagic"][0], nil
}
