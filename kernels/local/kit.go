// SPDX-License-Identifier: Apache-2.0

package local

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// layoutVersion is part of a kit's key; it changes with what fill writes.
const layoutVersion = 2

// sums names a kernel at hand by what it is made of.
type sums struct {
	// image is a hash of everything that the cache keeps of it: the same files
	// reached by other paths are kept once.
	image string
	// all is one of the headers and of where everything lies too: modules are
	// cached by it.
	all string
}

// sums hashes the content of what is copied; of the headers so much that a
// build with another result changes it; of the folders that stay where they
// are, the names.
func (s *survey) sums() (sums, error) {
	h := sha256.New()
	add := func(paths ...string) error {
		for _, path := range paths {
			if path == "" || !exists(path) {
				fmt.Fprintln(h, "-")
				continue
			}
			sum, err := store.HashFile(path)
			if err != nil {
				return s.bad("%v", err)
			}
			fmt.Fprintln(h, sum)
		}
		return nil
	}
	fmt.Fprintf(h, "%d %s\n", layoutVersion, s.release)
	if s.config == "" {
		fmt.Fprintf(h, "%s\n", kernels.SignsVersion())
	}
	files := []string{s.config, s.systemMap, "", ""}
	if s.elf != nil {
		files[2] = s.elf.path
	}
	if s.bz != nil {
		files[3] = s.bz.path
	}
	if err := add(files...); err != nil {
		return sums{}, err
	}
	image := hex.EncodeToString(h.Sum(nil)[:8])
	if s.headers != "" {
		for _, name := range []string{"Module.symvers", "include/generated/autoconf.h", "include/generated/utsrelease.h"} {
			if err := add(filepath.Join(s.headers, name)); err != nil {
				return sums{}, err
			}
		}
	}
	fmt.Fprintf(h, "%q %q %q\n", s.modules, s.headersDir, s.mounts)
	return sums{image, hex.EncodeToString(h.Sum(nil)[:4])}, nil
}

// debianBuild is the package's version in a version line.
var debianBuild = regexp.MustCompile(`Debian (\S+) \(`)

// kitVersion is the upstream version, packaged as the kernel itself says, and
// what tells two kits of one version apart: modules are cached by it.
func (s *survey) kitVersion(k sums) string {
	version := s.version
	if m := debianBuild.FindStringSubmatch(s.image().build); version == "" && m != nil {
		version = m[1]
	}
	if version == "" {
		version = s.release
	}
	return version + "+local." + k.all
}

// fill puts into the empty folder dir what the cache keeps of the kernel.
func (s *survey) fill(dir string, k sums) error {
	kit := &kernels.Kit{
		Release: s.release, Dir: dir, VMLinux: filepath.Join(dir, "vmlinux"), ConfigFile: filepath.Join(dir, "config"),
	}
	defer debug.FreeOSMemory() // an unpacked kernel's worth
	if err := s.fillImages(kit); err != nil {
		return err
	}
	c, err := s.fillConfig(kit)
	if err != nil {
		return err
	}
	if s.systemMap != "" {
		kit.SystemMap = filepath.Join(dir, "System.map")
		if err := copyFile(s.systemMap, kit.SystemMap); err != nil {
			return err
		}
	}
	// For when it comes without a modules folder.
	own := ownModules(kit)
	if err := os.MkdirAll(own, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(own, "modules.builtin"), kernels.BuiltinList(func(option string) string { return c[option] }), 0o644); err != nil {
		return err
	}
	if err := s.complete(kit, k); err != nil {
		return err
	}
	return kernels.WriteKitFile(kit)
}

// ownModules is the modules folder that the cache keeps of a kernel.
func ownModules(kit *kernels.Kit) string { return filepath.Join(kit.Dir, "lib/modules", kit.Release) }

// complete adds to what the cache keeps what stays where it is: elsewhere for
// everybody who comes with the same image. (The kit.json in the cache tells of
// the first.)
func (s *survey) complete(kit *kernels.Kit, k sums) error {
	kit.Version, kit.Source, kit.Flavour = s.kitVersion(k), ProviderName+":"+s.text, s.flavour
	kit.HeadersDir, kit.Mounts = s.headersDir, s.mounts
	kit.SourceDir, kit.BuildDir = s.sourceDir, s.buildDir
	if kit.ModulesDir = s.modules; s.modules == "" {
		kit.ModulesDir = ownModules(kit)
	}
	return s.bootable(kit)
}

// fillImages copies and unpacks the kernel.
func (s *survey) fillImages(kit *kernels.Kit) (err error) {
	pvh := false
	if s.bz != nil {
		kit.BZImage = filepath.Join(kit.Dir, "vmlinuz")
		if err := copyFile(s.bz.path, kit.BZImage); err != nil {
			return err
		}
	}
	if s.elf != nil {
		if err := copyVMLinux(s.elf.path, kit.VMLinux); err != nil {
			return err
		}
		if pvh, err = isPVH(kit.VMLinux); err != nil {
			return s.bad("its %s is damaged: %v", s.elf.path, err)
		}
	} else if pvh, err = kernels.UnpackVMLinux(kit.BZImage, kit.VMLinux); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return err
		}
		return s.bad("it is damaged: %s", strings.ReplaceAll(err.Error(), kit.BZImage, s.bz.path))
	}
	if kit.NoPVH = !pvh; kit.NoPVH && kit.BZImage == "" {
		return s.bad("the vmlinux has no PVH entry (CONFIG_PVH=y), so QEMU cannot start it: put the bzImage (vmlinuz) of the same build beside it, or set CONFIG_PVH=y and build it again")
	}
	unpacked, err := readImage(kit.VMLinux)
	if err != nil {
		return s.bad("the kernel in it %v", err)
	}
	if !sameBuild(unpacked, s.image()) {
		return s.bad("its head says %s %s, and the kernel in it %s %s: it was changed", s.release, s.image().build, unpacked.release, unpacked.build)
	}
	return nil
}

// fillConfig writes the kernel's config: the one that lies beside it, or the
// one inside it, or what it shows of it.
func (s *survey) fillConfig(kit *kernels.Kit) (config, error) {
	if s.config != "" {
		c, text, err := readConfig(s.config)
		if err != nil {
			return nil, s.bad("%v", err)
		}
		return c, os.WriteFile(kit.ConfigFile, text, 0o644)
	}
	f, err := os.Open(kit.VMLinux)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := findIKConfig(f)
	if err != nil {
		return nil, s.bad("%v", err)
	}
	if text != nil {
		c := parseConfig(text)
		if err := s.checkConfig(c, "in the image (CONFIG_IKCONFIG)"); err != nil {
			return nil, err
		}
		return c, os.WriteFile(kit.ConfigFile, text, 0o644)
	}
	if text, err = kernels.DeduceConfig(kit.VMLinux); err != nil {
		return nil, fmt.Errorf("look into %s: %w", s.image().path, err)
	}
	kit.ConfigDeduced = true
	c := parseConfig(text)
	if c["CONFIG_LIVEPATCH"] != "y" {
		return nil, s.bad("it was built without CONFIG_LIVEPATCH (its code does not show it, and no config lies beside it): set it, with `scripts/config -e LIVEPATCH && make olddefconfig` in its source, and build it again, or take another kernel")
	}
	return c, os.WriteFile(kit.ConfigFile, text, 0o644)
}

// bootable makes sure that what a guest needs before its agent can speak is
// there, as a file or built in.
func (s *survey) bootable(kit *kernels.Kit) error {
	_, _, err := kit.ModuleFiles("virtio_pci", "virtio_console")
	var none *kernels.NoModuleError
	if !errors.As(err, &none) {
		return err
	}
	option := "CONFIG_" + strings.ToUpper(none.Module)
	where := "there is no modules folder beside it"
	if s.modules != "" {
		where = "it is not in " + s.modules
	}
	if kit.ConfigValue(option) == "m" {
		where = "it is a module (" + option + "=m), and " + where
	} else {
		where = "it is not built in, as far as the image shows, and " + where
	}
	return s.bad("a guest needs %s to speak with the host: %s; put the kernel and its lib/modules/%s into one folder, and name that", none.Module, where, s.release)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	_, err = io.Copy(out, in)
	return err
}
