// SPDX-License-Identifier: Apache-2.0

package local

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// Where the headers of an unpacked package lie; RELEASE stands for the
// release, * for anything.
var headerPlaces = []place{
	{"usr/src/linux-headers-RELEASE", "Debian, Ubuntu: linux-headers"},
	{"usr/src/kernels/RELEASE", "el, Fedora: kernel-devel"},
	// linux-5.14.21-150500.55-obj/x86_64/default, for the release
	// 5.14.21-150500.55-default; found by what is written in it.
	{"usr/src/linux-*-obj/x86_64/*", "SUSE: kernel-default-devel"},
}

// findHeaders finds what modules can be built against: where packages put it,
// or where the modules' `build` link leads.
func (s *survey) findHeaders() error {
	for _, p := range headerPlaces {
		found, err := filepath.Glob(p.of(escape(s.root), s.release))
		if err != nil {
			return s.bad("%v", err)
		}
		for _, dir := range found {
			if isDir(dir) && (!strings.Contains(p.at, "*") || headersRelease(dir) == s.release) {
				return s.packaged(dir)
			}
		}
	}
	if s.modules == "" {
		return nil
	}
	target, err := os.Readlink(filepath.Join(s.modules, "build"))
	if err != nil {
		return nil // none, or a folder: el's kernel-devel of long ago
	}
	if inside, err := within(s.root, filepath.Join(strings.TrimPrefix(s.modules, s.root), "build")); err == nil && isDir(inside) {
		if strings.HasPrefix(inside, filepath.Join(s.root, "usr/src")+"/") {
			return s.packaged(inside)
		}
		target = inside
	}
	// A tree of this machine, which the modules were installed from.
	if filepath.IsAbs(target) && isTree(target) && headersRelease(target) == s.release {
		return s.treeHeaders(target)
	}
	return nil // the headers package is not here; that is no mistake
}

// packaged takes headers that a package put below usr/src: their Makefiles
// and links name others there, and in usr/lib, so all of it goes where it
// belongs.
func (s *survey) packaged(dir string) error {
	if r := headersRelease(dir); r != s.release {
		if r == "" {
			return s.bad("the headers in %s are not whole: neither include/generated/utsrelease.h nor include/config/kernel.release says of which kernel they are", dir)
		}
		return s.bad("the kernel is %s, and the headers in %s are of %s", s.release, dir, r)
	}
	if lost := s.incomplete(dir); lost != "" {
		return s.bad("the headers in %s are not whole: there is no %s; unpack the packages that linux-headers (Debian: -common and linux-kbuild) or kernel-default-devel (SUSE: kernel-devel) depends on into the same folder", dir, lost)
	}
	s.headers, s.headersDir = dir, "/"+strings.TrimPrefix(dir, strings.TrimSuffix(s.root, "/")+"/")
	s.mounts = []kernels.Mount{{Host: filepath.Join(s.root, "usr/src"), Inside: "/usr/src"}}
	kbuild, err := filepath.Glob(filepath.Join(escape(s.root), "usr/lib/linux-kbuild-*"))
	if err != nil {
		return s.bad("%v", err)
	}
	for _, path := range kbuild {
		s.mounts = append(s.mounts, kernels.Mount{Host: path, Inside: "/usr/lib/" + filepath.Base(path)})
	}
	return nil
}

var includeLine = regexp.MustCompile(`^include\s+([^\s$]+)\s*$`)

// incomplete names something that the headers in dir need and that is not
// there, as a path inside the tool root; "" if they are whole.
func (s *survey) incomplete(dir string) string {
	inside := "/" + strings.TrimPrefix(dir, strings.TrimSuffix(s.root, "/")+"/")
	needs := []string{"include/generated/autoconf.h", "scripts/Makefile.modpost", "Makefile"}
	source := s.sourceOf(inside)
	if source != "" {
		needs = append(needs, filepath.Join(source, "Makefile"))
	}
	for _, need := range needs {
		if !filepath.IsAbs(need) {
			need = filepath.Join(inside, need)
		}
		if _, err := within(s.root, need); err == nil {
			continue
		}
		// An output folder finds its scripts in the source's.
		if source != "" && strings.HasPrefix(need, inside+"/scripts/") {
			if _, err := within(s.root, filepath.Join(source, strings.TrimPrefix(need, inside))); err == nil {
				continue
			}
		}
		if target, err := os.Readlink(filepath.Join(dir, "scripts")); err == nil && strings.HasPrefix(need, inside+"/scripts/") {
			return target
		}
		return need
	}
	return ""
}

// mostGenerated bounds a Makefile that only says where the real one is, in
// bytes; that one has 60 KB.
const mostGenerated = 4096

// sourceOf is the folder, inside the tool root, whose Makefile the one in
// inside includes; "" if that is a real one.
func (s *survey) sourceOf(inside string) string {
	text, err := os.ReadFile(filepath.Join(s.root, inside, "Makefile"))
	if err != nil || len(text) > mostGenerated {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if m := includeLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			if filepath.IsAbs(m[1]) {
				return filepath.Dir(m[1])
			}
			return filepath.Join(inside, filepath.Dir(m[1]))
		}
	}
	return ""
}

var utsRelease = regexp.MustCompile(`(?m)^#define UTS_RELEASE "([^"]+)"`)

// headersRelease is the release that modules built against dir, headers or a
// built tree, will be of; "" if nothing there says. include/config/kernel.release
// is asked second: Debian's has the upstream version.
func headersRelease(dir string) string {
	if text, err := os.ReadFile(filepath.Join(dir, "include/generated/utsrelease.h")); err == nil {
		if m := utsRelease.FindSubmatch(text); m != nil {
			return string(m[1])
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "include/config/kernel.release"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
