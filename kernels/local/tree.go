// SPDX-License-Identifier: Apache-2.0

package local

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/switchyard-project/switchyard/kernels"
)

// treeInside is where a built tree stands in the tool root, buildInside where
// an output folder (make O=) does whose tree is elsewhere.
const (
	treeInside  = "/usr/src/linux"
	buildInside = "/usr/src/linux-build"
)

// isTree says whether dir is a kernel's source, or a folder that one was built
// into (make O=).
//
// Sources: the kernel's Makefile, outputmakefile: an output folder has a
// Makefile and a link `source`. Kbuild and Kconfig are the tree's own, which
// headers packages do not have, or not with a scripts folder full of sources.
func isTree(dir string) bool {
	if !exists(dir, "Makefile") {
		return false
	}
	return isLink(filepath.Join(dir, "source")) || (exists(dir, "Kbuild") && exists(dir, "Kconfig") && exists(dir, "init/main.c"))
}

// treeOf is the built tree that the image at path was built in.
func treeOf(path string) (dir string, ok bool) {
	dir = filepath.Dir(path)
	if strings.HasSuffix(path, "/"+treeBZImage) {
		dir = strings.TrimSuffix(path, "/"+treeBZImage)
	}
	return dir, isTree(dir)
}

// treeBZImage is where the build of a tree leaves the compressed kernel.
const treeBZImage = "arch/x86/boot/bzImage"

// tree surveys a kernel tree, or output folder, that must be built.
func (s *survey) tree(dir string) error {
	s.root = dir
	source := dir
	if link := filepath.Join(dir, "source"); isLink(link) {
		var err error
		if source, err = filepath.EvalSymlinks(link); err != nil {
			return s.bad("%s: the tree that it was built from is gone, and modules need it", missing(link, os.ErrNotExist))
		}
	}
	if !exists(source, "arch/x86") {
		return s.bad("%s is a kernel tree without arch/x86; guests here are x86-64", source)
	}
	if !exists(dir, ".config") {
		return s.bad("it is a kernel tree that is not configured (there is no .config): `switchyard kernels build VERSION --tree %s` configures and builds it, or make it yourself", shellescape.Quote(dir))
	}
	s.config = filepath.Join(dir, ".config")
	c, _, err := readConfig(s.config)
	if err != nil {
		return s.bad("%v", err)
	}
	if err := s.checkConfig(c, s.config); err != nil {
		return err // before it is built in vain
	}
	for _, name := range []string{"vmlinux", treeBZImage} {
		if !exists(dir, name) {
			continue
		}
		im, err := readImage(filepath.Join(dir, name))
		if err != nil {
			return s.bad("its %s %v", name, err)
		}
		if s.image() != nil && !sameBuild(s.image(), im) {
			return s.bad("its vmlinux is %s %s, and its %s is %s %s, of another build: run `make -C %s bzImage`, or name the one you mean", s.elf.release, s.elf.build, treeBZImage, im.release, im.build, shellescape.Quote(dir))
		}
		s.take(im)
	}
	if s.image() == nil {
		return s.bad("it is a kernel tree that was configured and not built: there is no vmlinux and no %s; run `make -C %s -j$(nproc)`", treeBZImage, shellescape.Quote(dir))
	}
	if r := headersRelease(dir); r != s.release {
		return s.bad("its kernel is %s, and the tree calls itself %q by now (include/config/kernel.release): run `make -C %s -j$(nproc)` again", s.release, r, shellescape.Quote(dir))
	}
	if err := s.configured(dir, c); err != nil {
		return err
	}
	if !exists(dir, "Module.symvers") {
		return s.bad("it was built without its modules (there is no Module.symvers), so none can be built for it: run `make -C %s -j$(nproc) modules`", shellescape.Quote(dir))
	}
	if at := filepath.Join(dir, "System.map"); exists(at) {
		s.systemMap = at
	}
	// Its modules lie all over it, and modules.builtin at its top.
	s.modules = dir
	if _, err := s.checkModules(dir); err != nil {
		return err
	}
	return s.treeHeaders(dir)
}

// configured makes sure that the tree was built with the config that it has.
//
// Source: the kernel's Makefile, include/config/auto.conf: all options that
// are set, written from .config when the build begins.
func (s *survey) configured(dir string, now config) error {
	at := filepath.Join(dir, "include/config/auto.conf")
	built, _, err := readConfig(at)
	if err != nil {
		return s.bad("it is not whole: %v", err)
	}
	var changed []string
	for name, value := range now {
		if value != "n" && built[name] != value {
			changed = append(changed, name)
		}
	}
	for name := range built {
		if _, ok := now[name]; !ok {
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	const most = 3
	names := strings.Join(changed[:min(len(changed), most)], ", ")
	return s.bad("its .config was changed after it was built (%d options, %s for one): run `make -C %s -j$(nproc)` again", len(changed), names, shellescape.Quote(dir))
}

// treeHeaders has modules built against the tree, or output folder, dir
// itself.
func (s *survey) treeHeaders(dir string) error {
	s.headers = dir
	link := filepath.Join(dir, "source")
	if !isLink(link) {
		s.headersDir, s.mounts = treeInside, []kernels.Mount{{Host: dir, Inside: treeInside}}
		return nil
	}
	source, err := filepath.EvalSymlinks(link)
	if err != nil {
		return s.bad("%s: the tree that it was built from is gone, and modules need it", missing(link, os.ErrNotExist))
	}
	target, err := os.Readlink(link)
	if err != nil {
		return s.bad("%v", err)
	}
	if !filepath.IsAbs(target) {
		// make wrote it so, as it does for a folder right below the tree.
		rel, err := filepath.Rel(source, dir)
		if err != nil || strings.HasPrefix(rel, "..") {
			return s.bad("its `source` link is relative (%s) and does not lead to a folder above it", target)
		}
		s.headersDir, s.mounts = filepath.Join(treeInside, rel), []kernels.Mount{{Host: source, Inside: treeInside}}
		return nil
	}
	// Its Makefile names the source by this path.
	s.headersDir = buildInside
	s.mounts = []kernels.Mount{{Host: source, Inside: filepath.Clean(target)}, {Host: dir, Inside: buildInside}}
	return nil
}
