// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// leastSystemMap is the size below which a System.map is none, in bytes:
// Debian's is one line that says where the real one is.
const leastSystemMap = 4096

// surroundings finds what lies around the kernel in s.root.
func (s *survey) surroundings() error {
	s.config = s.configIn(s.root)
	if at := first(systemMapPlaces, s.root, s.release); at != "" {
		if info, err := os.Stat(at); err == nil && info.Size() >= leastSystemMap {
			s.systemMap = at
		}
	}
	if err := s.findModules(); err != nil {
		return err
	}
	return s.findHeaders()
}

func (s *survey) configIn(root string) string { return first(configPlaces, root, s.release) }

// first is the first of places that is a file.
func first(places []place, root, release string) string {
	for _, p := range places {
		if info, err := os.Stat(p.of(root, release)); err == nil && info.Mode().IsRegular() {
			return p.of(root, release)
		}
	}
	return ""
}

// moduleFolders are the folders of root that are called as a release is and
// stand where modules stand, links included.
func moduleFolders(root string) []string {
	var all []string
	for _, p := range modulePlaces {
		entries, err := os.ReadDir(p.of(root, ""))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if kernels.IsRelease(e.Name()) && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) {
				all = append(all, filepath.Join(p.of(root, ""), e.Name()))
			}
		}
	}
	return all
}

func moduleReleases(root string) []string {
	var all []string
	for _, dir := range moduleFolders(root) {
		if r := filepath.Base(dir); !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// findModules finds the modules folder of the kernel. A folder that holds
// modules of other kernels only is an error: they would not load.
func (s *survey) findModules() error {
	for _, dir := range moduleFolders(s.root) {
		if filepath.Base(dir) != s.release {
			continue
		}
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			if real, err = within(s.root, strings.TrimPrefix(dir, s.root)); err != nil {
				return s.bad("its modules folder %s", missing(dir, os.ErrNotExist))
			}
		}
		// One that holds only a vmlinuz is what kernel-core alone unpacks to.
		if has, err := s.checkModules(real); err != nil || has {
			s.modules = real
			return err
		}
	}
	others := moduleReleases(s.root)
	others = slices.DeleteFunc(others, func(r string) bool { return r == s.release })
	if len(others) > 0 && len(moduleReleases(s.root)) == len(others) {
		return s.bad("the kernel is %s, and the modules beside it (%s) are of %s: give it its own, or move it to a folder without modules", s.release, filepath.Dir(moduleFolders(s.root)[0]), strings.Join(others, ", "))
	}
	return nil
}

// checkModules makes sure that the modules in dir are the kernel's; has says
// whether there is anything of use.
func (s *survey) checkModules(dir string) (has bool, err error) {
	found := ""
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() && kernels.IsModuleFile(path) {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return false, s.bad("its modules cannot be read: %v", err)
	}
	if found == "" {
		return exists(dir, "modules.builtin"), nil
	}
	ko, err := kernels.ReadModule(found)
	if err == nil {
		var magic string
		if magic, err = kernels.Vermagic(ko); err == nil {
			if built, _, _ := strings.Cut(magic, " "); built != s.release {
				return false, s.bad("the kernel is %s, and the modules in %s are of %s, whatever the folder is called (%s says so)", s.release, dir, built, filepath.Base(found))
			}
		}
	}
	if err != nil {
		return false, s.bad("one of its modules is damaged: %v", err)
	}
	return true, nil
}

// kit surveys one of our own kits: a folder with a kit.json.
func (s *survey) kit(dir string) error {
	k, err := kernels.ReadKitFile(dir)
	if err != nil {
		return s.bad("%v", err)
	}
	s.root = dir
	for _, path := range []string{k.VMLinux, k.BZImage} {
		if path == "" || (path == k.BZImage && !exists(path)) {
			continue
		}
		im, err := readImage(path)
		if err != nil {
			return s.bad("%s, which its kit.json names, %v", path, err)
		}
		if im.release != k.Release {
			return s.bad("its kit.json is of %s, and %s is %s", k.Release, path, im.release)
		}
		if s.image() != nil && !sameBuild(s.image(), im) {
			return s.bad("%s is %q, and %s is %q: they are of two builds", s.image().path, s.image().build, path, im.build)
		}
		s.take(im)
	}
	if s.image() == nil {
		return s.bad("its kit.json names no kernel")
	}
	s.version, s.flavour = k.Version, k.Flavour
	s.config, s.systemMap, s.modules = k.ConfigFile, k.SystemMap, k.ModulesDir
	s.headersDir, s.mounts = k.HeadersDir, k.Mounts
	s.sourceDir, s.buildDir = k.SourceDir, k.BuildDir
	if !exists(s.modules) {
		s.modules = "" // of a kernel whose image alone was to be had
	}
	var lost error
	for _, path := range []string{s.config, s.systemMap} {
		if path != "" && !exists(path) {
			lost = errors.Join(lost, s.bad("its kit.json names %s, which is not there", path))
		}
	}
	for _, m := range s.mounts {
		if !exists(m.Host) {
			lost = errors.Join(lost, s.bad("its kit.json names %s, which is not there", m.Host))
		}
		if rel, err := filepath.Rel(m.Inside, s.headersDir); err == nil && !strings.HasPrefix(rel, "..") {
			s.headers = filepath.Join(m.Host, rel)
		}
	}
	if lost != nil || s.modules == "" {
		return lost
	}
	_, err = s.checkModules(s.modules)
	return err
}
