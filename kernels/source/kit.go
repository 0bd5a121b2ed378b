// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/kernels"
)

// heavy are products of the link that nothing is built from again, beside
// vmlinux itself: a third of the folder.
var heavy = []string{"vmlinux.o", "vmlinux.a", ".tmp_vmlinux*", "arch/x86/boot/compressed/vmlinux*", "arch/x86/boot/vmlinux.bin"}

// fill puts the finished kernel into a kit's folder.
func (b *build) fill(ctx context.Context, dir string) error {
	release, err := os.ReadFile(filepath.Join(b.out(), "include/config/kernel.release"))
	if err != nil {
		return fmt.Errorf("the kernel's release: %w", err)
	}
	k := &kernels.Kit{
		Release: strings.TrimSpace(string(release)), Version: sortable(b.plan.origin.version) + "-" + b.plan.key,
		Source: ProviderName + ":" + b.plan.origin.place, Flavour: kernels.SourceFlavour, Dir: dir,
		VMLinux: filepath.Join(dir, "vmlinux"), BZImage: filepath.Join(dir, "vmlinuz"),
		ConfigFile: filepath.Join(dir, "config"), SystemMap: filepath.Join(dir, "System.map"),
		SourceDir: b.source, BuildDir: filepath.Join(dir, "build"), HeadersDir: insideBuild,
	}
	k.ModulesDir = filepath.Join(dir, "lib/modules", k.Release)
	k.Mounts = []kernels.Mount{{Host: k.SourceDir, Inside: insideSource}, {Host: k.BuildDir, Inside: insideBuild}}
	if err := b.install(ctx, k); err != nil {
		return err
	}
	if err := linkFolder(b.out(), k.BuildDir); err != nil {
		return err
	}
	image, err := os.Open(k.VMLinux)
	if err != nil {
		return err
	}
	defer image.Close()
	if ok, err := kernels.HasPVHNote(image); err != nil || !ok {
		return fmt.Errorf("%s came out without a PVH entry (%v); see %s", b.plan.what(), err, b.log.Name())
	}
	r := record{
		Label: b.plan.label, Origin: b.plan.origin.title, Tree: b.plan.origin.hash, Compiler: b.plan.compiler, Config: b.plan.spec.Config,
		Fragments: b.plan.spec.Fragments, NotTaken: b.notTaken, Command: b.plan.spec.command(), Made: time.Now().UTC(),
	}
	if err := r.write(dir); err != nil {
		return err
	}
	return kernels.WriteKitFile(k)
}

// install puts modules and image into the kit. The image loses its debug
// sections, which QEMU would read at every boot; BTF and the symbols stay.
func (b *build) install(ctx context.Context, k *kernels.Kit) error {
	modules := makeArgv("modules_install", "INSTALL_MOD_PATH="+insideKit, "INSTALL_MOD_STRIP=1")
	if err := b.explained(ctx, b.enter(ctx, b.out(), k.Dir, b.log, modules)); err != nil {
		return err
	}
	strip := []string{"objcopy", "--strip-debug", insideBuild + "/vmlinux", insideKit + "/vmlinux"}
	if err := b.explained(ctx, b.enter(ctx, b.out(), k.Dir, b.log, strip)); err != nil {
		return err
	}
	for from, to := range map[string]string{
		"arch/x86/boot/bzImage": k.BZImage, ".config": k.ConfigFile, "System.map": k.SystemMap,
	} {
		if err := copyFile(filepath.Join(b.out(), from), to); err != nil {
			return err
		}
	}
	// They lead to places that are only in the tool root.
	for _, link := range []string{"build", "source"} {
		if err := os.Remove(filepath.Join(k.ModulesDir, link)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return os.MkdirAll(k.ModulesDir, 0o755)
}

// linkFolder gives the files of the build folder a second name in the kit, but
// for the heavy ones. The first stays until the kit is sealed: if this process
// is killed now, the next one finds all that was built.
func linkFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		for _, pattern := range heavy {
			if ok, _ := filepath.Match(pattern, rel); ok {
				return nil
			}
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			return copyFile(path, target)
		case !d.Type().IsRegular():
			return nil
		}
		return os.Link(path, target)
	})
}
