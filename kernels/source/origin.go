// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchyard-project/switchyard/kernels/guard"
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

// pruneTree removes what no build for x86 reads: the other architectures but
// for their Kconfig files, documentation, tools that are programs of their own.
// A release has 85 000 files, and each of them is looked at when a kit is
// checked.
func pruneTree(dir string) error {
	for _, pattern := range []string{"arch/*", "Documentation/*", "tools/perf", "tools/testing/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			if !keep(rel) {
				guard.RemoveAll(path)
			}
		}
	}
	return nil
}

// keep says of a path of pruneTree's patterns whether builds need it.
func keep(rel string) bool {
	switch rel {
	case "arch/x86", "arch/Kconfig", "tools/testing/selftests":
		return true
	}
	parent, name := filepath.Split(rel)
	if parent == "Documentation/" {
		return name == "Kconfig" || name == "Makefile" // which the tree's own name
	}
	return false
}

// needed says whether a file of a tree is taken along: what pruneTree leaves.
func needed(rel string) bool {
	parts := strings.SplitN(rel, "/", 3)
	if len(parts) < 2 {
		return true
	}
	switch parts[0] {
	case "arch", "Documentation":
		return keep(parts[0] + "/" + parts[1])
	case "tools":
		if parts[1] == "testing" && len(parts) == 3 {
			next, _, _ := strings.Cut(parts[2], "/")
			return keep("tools/testing/" + next)
		}
		return parts[1] != "perf"
	}
	return true
}
