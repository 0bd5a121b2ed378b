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

// survey is what is at one path, or around it. Its methods fill it; what
// contradicts itself is a *kernels.SelectorError about text.
type survey struct {
	// text is the path as the user wrote it.
	text string
	// root is the folder that the rest was found in.
	root string
	// elf and bz are the kernel; either may be nil, not both.
	elf, bz *image
	release string
	// config, systemMap are files, modules is a folder; "" where there is none.
	config, systemMap, modules string
	// headers is the host's folder to build modules against, "" for none;
	// headersDir and mounts are as in kernels.Kit.
	headers, headersDir string
	mounts              []kernels.Mount
	// These are known of one of our own kits.
	version, flavour, sourceDir, buildDir string
}

func (s *survey) bad(format string, args ...any) error { return bad(s.text, format, args...) }

// image is the one of the kernel's images that was there first: what is said
// of the kernel is said of it.
func (s *survey) image() *image {
	if s.bz != nil {
		return s.bz
	}
	return s.elf
}

// lookAt finds out what path is, without writing anything.
func lookAt(path string) (*survey, error) {
	named, real, err := absolute(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, bad(path, "%v", err)
	}
	s := &survey{text: path}
	switch {
	case info.IsDir():
		err = s.folder(real)
	case info.Mode().IsRegular():
		err = s.file(named, real)
	default:
		err = s.bad("it is neither a file nor a folder")
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// folder surveys a folder.
func (s *survey) folder(dir string) error {
	switch {
	case exists(dir, kernels.KitFile):
		return s.kit(dir)
	case isTree(dir):
		return s.tree(dir)
	}
	if err := s.images(dir); err != nil {
		return err
	}
	s.root = dir
	if root := rootOf(s.image().path); root != dir && len(moduleFolders(dir)) == 0 {
		s.root = root // dir is the boot or modules folder of a bigger one
	}
	return s.surroundings()
}

// file surveys one kernel image and what lies around it: around the name that
// the user gave, or else around the file that the name is a link to.
func (s *survey) file(named, real string) error {
	im, err := readImage(real)
	if err != nil {
		return s.bad("it %v", err)
	}
	for _, path := range []string{named, real} {
		if tree, ok := treeOf(path); ok {
			if err := s.tree(tree); err != nil {
				return err
			}
			// Of the tree's two images the one that was named.
			if s.elf, s.bz = im, nil; !im.elf {
				s.elf, s.bz = nil, im
			}
			return nil
		}
	}
	s.take(im)
	s.root = rootOf(named)
	if at := rootOf(real); at != s.root && len(moduleFolders(s.root)) == 0 && s.configIn(s.root) == "" {
		s.root = at
	}
	return s.surroundings()
}

func (s *survey) take(im *image) {
	s.release = im.release
	if im.elf {
		s.elf = im
	} else {
		s.bz = im
	}
}

// place is where a file of a kernel lies, below the root of an unpacked
// package or of a system; RELEASE stands for the release.
type place struct{ at, whose string }

func (p place) of(root, release string) string {
	return filepath.Join(root, strings.ReplaceAll(p.at, "RELEASE", release))
}

// strict says that the name must hold the release: the file was put there by
// an installation and not by hand.
func (p place) strict() bool {
	return strings.Contains(p.at, "RELEASE") && strings.Contains(p.at, "/")
}

// release is the part of path, a file at the place, that stands for RELEASE.
func (p place) release(root, path string) string {
	before, after, _ := strings.Cut(p.at, "RELEASE")
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(path, root+"/"), before), after)
}

// The places, in the order in which they are looked at.
var (
	imagePlaces = []place{
		{"boot/vmlinuz-RELEASE", "Debian, Ubuntu; what el, Fedora and SUSE copy or link into /boot"},
		{"lib/modules/RELEASE/vmlinuz", "el and Fedora, kernel-core"},
		{"usr/lib/modules/RELEASE/vmlinuz", "SUSE, kernel-default; Debian from 6.19, linux-binary"},
		{"boot/vmlinux-RELEASE", "by hand"},
		{"usr/lib/debug/boot/vmlinux-RELEASE", "Debian, -dbg"},
		{"usr/lib/debug/lib/modules/RELEASE/vmlinux", "el and Fedora, kernel-debuginfo"},
		{"vmlinuz-RELEASE", "a copy of /boot"},
		{"vmlinuz", "by hand"},
		{"bzImage", "by hand"},
		{"vmlinux-RELEASE", "by hand"},
		{"vmlinux", "by hand"},
		{"Image", "by hand; never for x86"},
	}
	modulePlaces = []place{
		{"lib/modules", "everybody"},
		{"usr/lib/modules", "where lib is a link to usr/lib"},
		{"modules", "by hand"},
	}
	configPlaces = []place{
		{"boot/config-RELEASE", "Debian, Ubuntu, Fedora, SUSE"},
		{"lib/modules/RELEASE/config", "el and Fedora, kernel-core"},
		{"usr/lib/modules/RELEASE/config", "SUSE, kernel-default; Debian from 6.19"},
		{"config-RELEASE", "a copy of /boot"},
		{"config", "by hand"},
		{".config", "by hand"},
	}
	systemMapPlaces = []place{
		{"boot/System.map-RELEASE", "Debian, Ubuntu, Fedora, SUSE"},
		{"lib/modules/RELEASE/System.map", "el and Fedora, kernel-core"},
		{"usr/lib/modules/RELEASE/System.map", "SUSE, kernel-default"},
		{"System.map-RELEASE", "a copy of /boot"},
		{"System.map", "by hand"},
	}
)

// rescue is in the name of a copy of one of the other kernels that Fedora's
// and el's dracut keep in /boot.
const rescue = "0-rescue-"

// images finds the one kernel in dir.
func (s *survey) images(dir string) error {
	byRelease := map[string][]*image{}
	seen := map[string]bool{}
	for _, p := range imagePlaces {
		names, err := filepath.Glob(p.of(escape(dir), "*"))
		if err != nil {
			return s.bad("%v", err)
		}
		for _, name := range names {
			real, err := filepath.EvalSymlinks(name)
			if err != nil {
				if real, err = within(dir, strings.TrimPrefix(name, dir)); err != nil {
					return s.bad("%s", missing(name, os.ErrNotExist))
				}
			}
			if seen[real] || isDir(real) || strings.Contains(name, rescue) {
				continue
			}
			seen[real] = true
			im, err := readImage(real)
			if err != nil {
				if strings.HasPrefix(p.at, "usr/lib/debug/") {
					continue // most hold debug information and no kernel
				}
				return s.bad("%s %v", name, err)
			}
			if r := p.release(dir, name); p.strict() && r != im.release {
				return s.bad("%s is by its name kernel %s, and in it is %s", name, r, im.release)
			}
			im.path = name
			byRelease[im.release] = append(byRelease[im.release], im)
		}
	}
	switch len(byRelease) {
	case 0:
		return s.none(dir)
	case 1:
	default:
		return s.several(byRelease)
	}
	for _, all := range byRelease {
		for _, im := range all {
			if !sameBuild(all[0], im) {
				return s.bad("it holds two builds of %s: %s is %q, and %s is %q; name the one you mean: -kernel %s", im.release, all[0].path, all[0].build, im.path, im.build, shellescape.Quote(all[0].path))
			}
			if (im.elf && s.elf == nil) || (!im.elf && s.bz == nil) {
				s.take(im)
			}
		}
	}
	return nil
}

// escape takes the meaning from what filepath.Glob would take for a pattern.
func escape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(dir)
}

// none says that dir holds no kernel, and what it does hold.
func (s *survey) none(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return s.bad("%v", err)
	}
	if len(entries) == 0 {
		return s.bad("the folder is empty")
	}
	switch {
	case exists(dir, "Module.symvers") && exists(dir, "Makefile"):
		return s.bad("these are a kernel's headers and no kernel: name the folder that its image package was unpacked to, or unpack both into one")
	case len(moduleFolders(dir)) > 0:
		return s.bad("it has the modules of %s and no kernel for them: put its vmlinuz beside lib (el9's is in the package kernel-core, SUSE's in kernel-default, Debian's in linux-image)", strings.Join(moduleReleases(dir), ", "))
	case exists(dir, "kernel") && (exists(dir, "modules.builtin") || exists(dir, "modules.order")):
		return s.bad("this is a modules folder alone: name the vmlinuz that it belongs to, or a folder with vmlinuz and lib/modules/RELEASE in it")
	}
	var looked []string
	for _, p := range imagePlaces[:3] {
		looked = append(looked, p.at)
	}
	return s.bad("there is no kernel in it: no %s, no vmlinuz, bzImage or vmlinux, no kit.json, and it is no built kernel tree", strings.Join(looked, ", "))
}

// several says that there are kernels to choose from.
func (s *survey) several(byRelease map[string][]*image) error {
	var releases []string
	for r := range byRelease {
		releases = append(releases, r)
	}
	slices.SortFunc(releases, kernels.CompareVersions)
	newest := byRelease[releases[len(releases)-1]][0]
	return s.bad("it holds %d kernels, %s: choose one by its file, -kernel %s for example", len(releases), strings.Join(releases, ", "), shellescape.Quote(newest.path))
}

// rootOf is the folder that an image at path is part of: the root of an
// unpacked package, or else the image's own folder.
func rootOf(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) == "boot" {
		return filepath.Dir(dir)
	}
	lib := filepath.Dir(filepath.Dir(dir)) // of lib/modules/RELEASE/vmlinuz
	if filepath.Base(filepath.Dir(dir)) == "modules" && filepath.Base(lib) == "lib" {
		root := filepath.Dir(lib)
		if filepath.Base(root) == "usr" {
			root = filepath.Dir(root)
		}
		return root
	}
	return dir
}
