// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/switchyard-project/switchyard/kernels"
)

// image is a kernel image, as far as its own bytes tell.
type image struct {
	path string
	// elf says that it is an uncompressed vmlinux; else it is a bzImage.
	elf bool
	// release is what `uname -r` prints; build is the rest of the version
	// line, by which two builds of one release differ, "" if it cannot be told.
	release, build string
}

// readImage looks at the file path. What it says when that is no kernel for
// us is a clause about the file: "is a kernel for arm64, …".
func readImage(path string) (*image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	im := &image{path: path}
	if err := im.read(f, head[:n]); err != nil {
		return nil, err
	}
	return im, nil
}

// foreign are beginnings of files that people take for a kernel of ours.
var foreign = []struct {
	at    int
	magic string
	what  string
}{
	// Source: Documentation/arch/arm64/booting.rst, "magic number".
	{56, "ARM\x64", "is a kernel for arm64; guests here are x86-64"},
	// Source: Documentation/arch/riscv/boot-image-header.rst, magic2.
	{56, "RSC\x05", "is a kernel for RISC-V; guests here are x86-64"},
	// Source: drivers/firmware/efi/libstub/zboot-header.S.
	{4, "zimg", "is a compressed EFI kernel (vmlinuz.efi) of an architecture other than x86; guests here are x86-64"},
	{0, "\x1f\x8b", "is a gzip file: gunzip it, and name the kernel that was in it"},
	{0, "\xfd7zXZ\x00", "is an xz file: unpack it with `unxz`, and name the kernel that was in it"},
	{0, "\x28\xb5\x2f\xfd", "is a zstd file: unpack it with `unzstd`, and name the kernel that was in it"},
	{0, "!<arch>\n", "is a package (or another ar archive): unpack it with `dpkg -x FILE FOLDER`, and name the folder"},
	{0, "\xed\xab\xee\xdb", "is a package: unpack it with `rpm2cpio FILE | cpio -idm` in an empty folder, and name the folder"},
	{0, "070701", "is a cpio archive, an initramfs for example, and no kernel"},
}

func (im *image) read(f io.ReaderAt, head []byte) error {
	if len(head) == 0 {
		return errors.New("is empty")
	}
	if bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		im.elf = true
		return im.readELF(f)
	}
	for _, a := range foreign {
		if len(head) > a.at && bytes.HasPrefix(head[a.at:], []byte(a.magic)) {
			return errors.New(a.what)
		}
	}
	// Source: Documentation/arch/x86/boot.rst, header.
	if len(head) < 0x206 || string(head[0x202:0x206]) != "HdrS" {
		if bytes.HasPrefix(head, []byte("MZ")) {
			return errors.New("is an EFI program and no bzImage; if it is a unified kernel image, name the vmlinuz that it was made from")
		}
		return errors.New("is no kernel image: neither a bzImage (vmlinuz) nor an ELF file (vmlinux)")
	}
	b, err := kernels.ReadBZImage(f)
	if err != nil {
		return fmt.Errorf("is a damaged kernel image: %w", err)
	}
	if !b.Is64 {
		return fmt.Errorf("is a kernel for 32-bit x86 (%s); guests here are x86-64", b.Release)
	}
	im.release, im.build = b.Release, b.Build
	return nil
}

func (im *image) readELF(f io.ReaderAt) error {
	file, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("is a damaged ELF file: %w", err)
	}
	switch {
	case file.Machine != elf.EM_X86_64 || file.Class != elf.ELFCLASS64:
		return fmt.Errorf("is an ELF file for %s; guests here are x86-64", machine(file))
	case file.Type == elf.ET_REL && file.Section(".modinfo") != nil:
		return errors.New("is a kernel module, and a kernel is wanted here")
	case file.Type == elf.ET_REL:
		return errors.New("is an object file, not linked yet (vmlinux.o?); name the vmlinux itself")
	}
	if !loadable(file) {
		return errors.New("is an ELF file without a program in it, as headers packages and debug packages have one; name the kernel itself")
	}
	im.release, im.build, err = findBanner(f)
	return err
}

// loadable says whether anything would be put into memory: what `objcopy
// --only-keep-debug` leaves has segments too, of no bytes.
func loadable(f *elf.File) bool {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Filesz > 0 {
			return true
		}
	}
	return false
}

func machine(f *elf.File) string {
	switch f.Machine {
	case elf.EM_386:
		return "32-bit x86"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_X86_64:
		return "x86-64 with 32-bit addresses"
	}
	return f.Machine.String()
}

// bannerStart begins the line that the kernel prints first of all.
//
// Source: init/version.c, linux_banner: "Linux version RELEASE (BY@HOST)
// (COMPILER) BUILD\n", BUILD being UTS_VERSION.
const bannerStart = "Linux version "

var bannerLine = regexp.MustCompile(`^Linux version (\S+) \(.*\) (#[^\n]*)\n`)

// builtNumber begins a BUILD that was not left blank: since 6.1 there is a
// second banner in the image, without number and time, which a link that is
// not the last one uses.
var builtNumber = regexp.MustCompile(`^#[0-9]`)

// findBanner finds the version line in an uncompressed image.
func findBanner(f io.ReaderAt) (release, build string, err error) {
	for at := int64(0); ; at++ {
		if at, err = kernels.Find(f, at, []byte(bannerStart)); err != nil {
			return "", "", err
		}
		if at < 0 {
			break
		}
		line := make([]byte, maxBanner)
		n, err := f.ReadAt(line, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return "", "", err
		}
		m := bannerLine.FindSubmatch(line[:n])
		if m == nil || !kernels.IsRelease(string(m[1])) {
			continue
		}
		release, build = string(m[1]), string(m[2])
		if builtNumber.MatchString(build) {
			return release, build, nil
		}
	}
	if release == "" {
		return "", "", errors.New("is an ELF file, but no kernel: there is no \"Linux version\" line in it")
	}
	return release, "", nil
}

// maxBanner bounds the version line, in bytes.
const maxBanner = 2048

// sameBuild says whether two images of one release can be of one build.
func sameBuild(a, b *image) bool {
	return a.release == b.release && (a.build == b.build || a.build == "" || b.build == "")
}

// isPVH says whether QEMU can start the ELF image path directly.
func isPVH(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return kernels.HasPVHNote(f)
}
