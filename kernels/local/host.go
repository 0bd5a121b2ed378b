// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/kernels"
)

// Host is a machine whose running kernel is to be tested.
type Host struct {
	// Root is the folder that its files are in, "" for "/".
	Root string
	// Release is its `uname -r`, "" for this machine's.
	Release string
}

// survey finds the files of the running kernel. Where there is no kernel image
// it is a *kernels.Lacking; missing modules or headers are not, but what needs
// them will tell.
func (h Host) survey() (*survey, error) {
	root, release := h.Root, h.Release
	if root == "" {
		root = "/"
	}
	if release == "" {
		var uts unix.Utsname
		if err := unix.Uname(&uts); err != nil {
			return nil, fmt.Errorf("release of the running kernel: %w", err)
		}
		release = unix.ByteSliceToString(uts.Release[:])
	}
	var looked []string
	for _, p := range imagePlaces {
		if !p.strict() {
			continue
		}
		path := p.of(root, release)
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			looked = append(looked, path)
			continue
		}
		if err != nil {
			// Ubuntu has it readable by root alone.
			return nil, &kernels.Lacking{What: "the right to read its own kernel", Remedy: fmt.Sprintf("run `sudo install -m 0644 %s ./vmlinuz-%s` and name ./vmlinuz-%[2]s, or `sudo chmod a+r %[1]s`", path, release), Err: err}
		}
		f.Close()
		s := &survey{text: kernels.HostKernel}
		if err := s.file(path, path); err != nil {
			return nil, err
		}
		if s.release != release {
			return nil, s.bad("%s holds %s, and what runs is %s: the package was replaced, restart into it or choose another kernel", path, s.release, release)
		}
		return s, s.check()
	}
	return nil, h.lacking(root, release, looked[:1])
}

// lacking lists what there is not of the running kernel.
func (h Host) lacking(root, release string, images []string) error {
	without := []string{"no image (" + strings.Join(images, ", ") + ")"}
	modules := filepath.Join(root, "lib/modules", release)
	if !exists(modules) {
		without = append(without, "no modules ("+modules+")")
	}
	if !exists(modules, "build") {
		without = append(without, "no headers ("+filepath.Join(modules, "build")+")")
	}
	return &kernels.Lacking{
		What:   fmt.Sprintf("the files of the kernel that it runs, %s: %s", release, strings.Join(without, ", ")),
		Remedy: fmt.Sprintf("install its packages (linux-image-%s and linux-headers-%[1]s, or kernel-core and kernel-devel); in a container or a VM whose kernel comes from outside, copy the three from there and name the folder, or take another, -kernel 6.12 for example", release),
	}
}
