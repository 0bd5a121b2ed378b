// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// programs are what the scripts call, from the first kernel that has them to
// today's; all of it is unpacked at every boot of such a guest, so it is this
// and not a whole Debian.
var programs = []string{
	"bash", "sh",
	"awk", "cat", "comm", "cut", "date", "diff", "dirname", "basename", "dmesg", "echo", "env", "expr", "false", "getconf", "grep", "head", "id",
	"kill", "ls", "mkdir", "mktemp", "mv", "cp", "ps", "pgrep", "printf", "readlink", "rm", "rmdir", "sed", "seq", "sleep", "sort", "stat", "sync", "sysctl",
	"tail", "taskset", "tee", "test", "timeout", "touch", "tr", "true", "uname", "uniq", "wc",
	"depmod", "insmod", "lsmod", "modinfo", "modprobe", "rmmod",
}

// renamed are programs that Debian's packages have under another name.
var renamed = map[string]string{"awk": "mawk", "sh": "bash"}

// binaries and libraries are where a merged-/usr root has them.
var (
	binaries  = []string{"usr/bin", "usr/sbin"}
	libraries = []string{"usr/lib/x86_64-linux-gnu", "usr/lib"}
)

// loader is where programs ask for their dynamic loader.
const loader = "lib64/ld-linux-x86-64.so.2"

// userland are the programs and their libraries, as files of an image.
func (b *Builder) userland(ctx context.Context) ([]images.File, error) {
	root, err := b.Userland(ctx)
	if err != nil {
		return nil, err
	}
	c := collector{root: root, have: map[string]bool{}}
	for _, name := range programs {
		if err := c.program(name); err != nil {
			return nil, fmt.Errorf("programs for the selftests: %w", err)
		}
	}
	if err := c.file(loader, "usr/"+loader); err != nil {
		return nil, fmt.Errorf("programs for the selftests: %w", err)
	}
	// What a script or program calls by another of its usual paths.
	for link, target := range map[string]string{"usr/bin": "../bin", "usr/sbin": "../bin", "sbin": "bin", "usr/lib": "../lib"} {
		c.files = append(c.files, images.File{Path: link, Link: target})
	}
	slices.SortFunc(c.files, func(a, b images.File) int { return strings.Compare(a.Path, b.Path) })
	return c.files, nil
}

// collector picks files of a root.
type collector struct {
	root  *toolroot.Root
	have  map[string]bool // paths in the guest
	files []images.File
}

// program takes a program and the libraries that it needs. One that is a link
// to another program stays a link: kmod is five.
func (c *collector) program(name string) error {
	if c.have["bin/"+name] {
		return nil
	}
	own := name
	if other, ok := renamed[name]; ok {
		own = other
	}
	for _, dir := range binaries {
		from := path.Join(dir, own)
		info, err := os.Lstat(filepath.Join(c.root.Dir, from))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(filepath.Join(c.root.Dir, from)); err != nil {
				return err
			}
			target = path.Base(target)
		} else if own != name {
			target = own
		}
		if target == "" {
			return c.file("bin/"+name, from)
		}
		if err := c.program(target); err != nil {
			return err
		}
		c.have["bin/"+name] = true
		c.files = append(c.files, images.File{Path: "bin/" + name, Link: target})
		return nil
	}
	return fmt.Errorf("the tool root %s has no program %s", c.root.Name, own)
}

// library takes a shared library.
func (c *collector) library(name string) error {
	if c.have["lib/"+name] {
		return nil
	}
	for _, dir := range libraries {
		from := path.Join(dir, name)
		if _, err := os.Stat(filepath.Join(c.root.Dir, from)); err == nil {
			return c.file("lib/"+name, from)
		}
	}
	return fmt.Errorf("the tool root %s has no library %s", c.root.Name, name)
}

// file takes the file from of the root, and what it is linked with.
func (c *collector) file(to, from string) error {
	c.have[to] = true
	host := filepath.Join(c.root.Dir, from)
	content, err := os.ReadFile(host)
	if err != nil {
		return err
	}
	c.files = append(c.files, images.File{Path: to, Mode: 0o755, Content: content})
	f, err := elf.Open(host)
	if err != nil {
		return nil // a script
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	for _, lib := range needed {
		if lib == path.Base(loader) {
			continue
		}
		if err := c.library(lib); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	return nil
}
