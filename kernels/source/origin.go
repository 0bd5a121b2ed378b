// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// origin is a source tree to build from, identified but not yet unpacked.
type origin struct {
	// title is how the user knows it: "linux-6.6.3.tar.xz", a folder's path.
	title string
	// place is what it can be found at again: an absolute path or a URL.
	place string
	// version is the kernel's: "6.6.3", "6.7.0-rc3"; "" as long as it is not
	// known: a tarball of any name.
	version string
	// hash identifies the content.
	hash string
	// release says that it is a release tarball, whose version is its name.
	release bool
	// fetch, if set, brings the tarball here first.
	fetch func(ctx context.Context) (path string, err error)
	// fill puts the tree into the empty folder dir.
	fill func(ctx context.Context, path, dir string) error
}

// treeFiles are what a kernel's tree has, each with what it says when it is
// missing.
var treeFiles = []string{"Makefile", "Kconfig", "scripts/Makefile.build", "arch/x86/Makefile"}

// checkTree says whether dir holds a kernel that can be built.
func checkTree(what, dir string) error {
	for _, name := range treeFiles {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return &InputError{what, fmt.Sprintf("it is no kernel source tree: it has no %s", name), err}
		}
	}
	return nil
}

var versionLine = regexp.MustCompile(`^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)\s*=\s*(\S*)\s*$`)

// treeVersion reads the version at the top of a kernel's Makefile.
func treeVersion(what, dir string) (string, error) {
	f, err := os.Open(filepath.Join(dir, "Makefile"))
	if err != nil {
		return "", &InputError{what, "it is no kernel source tree: it has no Makefile", err}
	}
	defer f.Close()
	part := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 0; n < 40 && lines.Scan(); n++ {
		if m := versionLine.FindStringSubmatch(lines.Text()); m != nil {
			part[m[1]] = m[2]
		}
	}
	if part["VERSION"] == "" || part["PATCHLEVEL"] == "" {
		return "", &InputError{what, "it is no kernel source tree: its Makefile does not begin with a kernel's version", nil}
	}
	if part["SUBLEVEL"] == "" {
		part["SUBLEVEL"] = "0"
	}
	return part["VERSION"] + "." + part["PATCHLEVEL"] + "." + part["SUBLEVEL"] + part["EXTRAVERSION"], nil
}

// sortable is a version that CompareVersions puts in its place: a release
// candidate before its release.
func sortable(version string) string { return strings.Replace(version, "-rc", "~rc", 1) }

// pruneTree removes what no build for x86 reads. A release has 85 000 files,
// and each of them is looked at when the cache is checked.
func pruneTree(dir string) error {
	var folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			folders = append(folders, path)
			return nil
		case needed(rel):
			return nil
		}
		return os.Remove(path)
	})
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(folders) {
		if err := os.Remove(path); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// needed says whether a build reads a file of the tree: documentation, other
// architectures, and tools that are programs of their own it does not. But
// their Kconfig files and Makefiles are read whatever is built: crypto/Kconfig
// names those of every architecture, fs/hostfs/Makefile one of arch/um.
func needed(rel string) bool {
	for _, prefix := range []string{"Kconfig", "Makefile", "Kbuild"} {
		if strings.HasPrefix(filepath.Base(rel), prefix) {
			return true
		}
	}
	for _, prefix := range []string{"Documentation/", "tools/perf/", "tools/testing/"} {
		if strings.HasPrefix(rel, prefix) {
			return strings.HasPrefix(rel, "tools/testing/selftests/livepatch/")
		}
	}
	return !strings.HasPrefix(rel, "arch/") || strings.HasPrefix(rel, "arch/x86/")
}
