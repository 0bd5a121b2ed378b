// SPDX-License-Identifier: Apache-2.0

package local

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// describe says what was found, with the folder as "." and the release as R.
func (f folder) describe(s *survey) string {
	var b strings.Builder
	put := func(what, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s %s\n", what, value)
		}
	}
	for _, im := range []*image{s.elf, s.bz} {
		if im != nil {
			put("image", im.path)
		}
	}
	put("config", s.config)
	put("map", s.systemMap)
	put("modules", s.modules)
	put("headers", s.headersDir)
	for _, m := range s.mounts {
		put("mount", m.Host+" at "+m.Inside)
	}
	return strings.NewReplacer(f.dir+"/", "", f.dir, ".", f.kit.Release, "R").Replace(b.String())
}

// TestLayouts: whatever a kernel's files are arranged like, and however the
// path to them is written, all of them are found.
func TestLayouts(t *testing.T) {
	kit := debianKit(t, "6.1")
	series := kernels.Series(kit.Version)
	const debHeaders = "headers /usr/src/linux-headers-R\nmount usr/src at /usr/src\nmount usr/lib/linux-kbuild-6.1 at /usr/lib/linux-kbuild-6.1\n"
	require.Equal(t, "6.1", series)
	for name, c := range map[string]struct {
		arrange func(folder)
		path    string // in the folder, "" for itself
		want    string
	}{
		"deb": {folder.deb, "", "image boot/vmlinuz-R\nconfig boot/config-R\nmodules lib/modules/R\n" + debHeaders},
		"the image in a deb": {folder.deb, "boot/vmlinuz-{R}",
			"image boot/vmlinuz-R\nconfig boot/config-R\nmodules lib/modules/R\n" + debHeaders},
		"the boot folder of a deb": {folder.deb, "boot",
			"image boot/vmlinuz-R\nconfig boot/config-R\nmodules lib/modules/R\n" + debHeaders},
		"deb from 6.19 on": {func(f folder) {
			f.copy(kit.BZImage, "usr/lib/modules/{R}/vmlinuz")
			f.copy(kit.ConfigFile, "usr/lib/modules/{R}/config")
			f.modules("usr/lib/modules/{R}", ".xz")
			f.headers()
		}, "", "image usr/lib/modules/R/vmlinuz\nconfig usr/lib/modules/R/config\nmodules usr/lib/modules/R\n" + debHeaders},
		"el9": {func(f folder) { f.el(".xz") }, "",
			"image lib/modules/R/vmlinuz\nconfig lib/modules/R/config\nmap lib/modules/R/System.map\nmodules lib/modules/R\nheaders /usr/src/kernels/R\nmount usr/src at /usr/src\n"},
		"el10, its modules folder": {func(f folder) { f.el(".zst") }, "lib/modules/{R}",
			"image lib/modules/R/vmlinuz\nconfig lib/modules/R/config\nmap lib/modules/R/System.map\nmodules lib/modules/R\nheaders /usr/src/kernels/R\nmount usr/src at /usr/src\n"},
		"el9 installed, with a rescue image": {func(f folder) {
			f.el(".xz")
			f.copy(kit.BZImage, "boot/vmlinuz-{R}")
			f.copy(kit.BZImage, "boot/vmlinuz-0-rescue-0123456789abcdef")
		}, "", "image boot/vmlinuz-R\nconfig lib/modules/R/config\nmap lib/modules/R/System.map\nmodules lib/modules/R\nheaders /usr/src/kernels/R\nmount usr/src at /usr/src\n"},
		"suse": {folder.suse, "",
			"image boot/vmlinuz-R\nconfig boot/config-R\nmodules usr/lib/modules/R\nheaders /usr/src/linux-5.14.21-1-obj/x86_64/default\nmount usr/src at /usr/src\n"},
		"lib is a link": {func(f folder) {
			f.link("usr/lib", "lib")
			f.mkdir("usr/lib")
			f.el(".gz")
		}, "", "image lib/modules/R/vmlinuz\nconfig lib/modules/R/config\nmap lib/modules/R/System.map\nmodules usr/lib/modules/R\nheaders /usr/src/kernels/R\nmount usr/src at /usr/src\n"},
		"a vmlinuz alone": {func(f folder) { f.copy(kit.BZImage, "my kernel") }, "my kernel", "image my kernel\n"},
		"a vmlinux alone": {func(f folder) { f.copy(kit.VMLinux, "vmlinux") }, "vmlinux", "image vmlinux\n"},
		"both, with modules beside": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			f.copy(kit.VMLinux, "vmlinux")
			f.copy(kit.ConfigFile, "config")
			f.modules("lib/modules/{R}", "")
		}, "", "image vmlinux\nimage vmlinuz\nconfig config\nmodules lib/modules/R\n"},
		"bzImage, modules in modules": {func(f folder) {
			f.copy(kit.BZImage, "bzImage")
			f.modules("modules/{R}", "")
		}, "bzImage", "image bzImage\nmodules modules/R\n"},
		"a link to an image, the modules beside the image": {func(f folder) {
			f.deb()
			f.link("../boot/vmlinuz-{R}", "links/k")
		}, "links/k", "image boot/vmlinuz-R\nconfig boot/config-R\nmodules lib/modules/R\n" + debHeaders},
		"a link to an image, the modules beside the link": {func(f folder) {
			f.link(kit.BZImage, "vmlinuz")
			f.copy(kit.ConfigFile, "config")
			f.modules("lib/modules/{R}", "")
		}, "vmlinuz", "image " + kit.BZImage + "\nconfig config\nmodules lib/modules/R\n"},
		"a built tree": {func(f folder) { f.built("linux") }, "linux",
			"image linux/vmlinux\nimage linux/arch/x86/boot/bzImage\nconfig linux/.config\nmodules linux\nheaders /usr/src/linux\nmount linux at /usr/src/linux\n"},
		"the bzImage of a built tree": {func(f folder) { f.built("linux") }, "linux/arch/x86/boot/bzImage",
			"image linux/arch/x86/boot/bzImage\nconfig linux/.config\nmodules linux\nheaders /usr/src/linux\nmount linux at /usr/src/linux\n"},
		"an output folder": {func(f folder) { f.output("out", "src", f.dir+"/src") }, "out",
			"image out/vmlinux\nimage out/arch/x86/boot/bzImage\nconfig out/.config\nmodules out\nheaders /usr/src/linux-build\nmount src at ./src\nmount out at /usr/src/linux-build\n"},
		"an output folder in the tree": {func(f folder) { f.output("src/out", "src", "..") }, "src/out",
			"image src/out/vmlinux\nimage src/out/arch/x86/boot/bzImage\nconfig src/out/.config\nmodules src/out\nheaders /usr/src/linux/out\nmount src at /usr/src/linux\n"},
		"modules that were installed from a tree": {func(f folder) {
			f.built("linux")
			f.copy(kit.BZImage, "inst/vmlinuz")
			f.modules("inst/lib/modules/{R}", "")
			f.link(f.dir+"/linux", "inst/lib/modules/{R}/build")
		}, "inst", "image inst/vmlinuz\nmodules inst/lib/modules/R\nheaders /usr/src/linux\nmount linux at /usr/src/linux\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, kit)
			c.arrange(f)
			s, err := lookAt(f.at(c.path))
			require.NoError(t, err)
			want := strings.ReplaceAll(strings.ReplaceAll(c.want, f.kit.Release, "R"), "./src", "src")
			assert.Equal(t, want, f.describe(s))
			assert.Equal(t, kit.Release, s.release)
		})
	}
}

// TestKitFolder: one of our own kits is a kernel at hand as well.
func TestKitFolder(t *testing.T) {
	kit := debianKit(t, "6.12")
	s, err := lookAt(kit.Dir)
	require.NoError(t, err)
	assert.Equal(t, []any{kit.VMLinux, kit.BZImage, kit.ConfigFile, kit.ModulesDir, kit.HeadersDir, kit.Mounts, kit.Version, kit.Flavour},
		[]any{s.elf.path, s.bz.path, s.config, s.modules, s.headersDir, s.mounts, s.version, s.flavour})
	assert.Equal(t, filepath.Join(kit.Dir, kit.HeadersDir), s.headers)
}

// TestPaths: relative ones, links, "~" and spaces mean the same file.
func TestPaths(t *testing.T) {
	f := newFolder(t, debianKit(t, "6.12"))
	f.copy(f.kit.BZImage, "a folder/vmlinuz")
	f.link("a folder", "link")
	t.Setenv("HOME", f.dir)
	t.Chdir(f.mkdir("elsewhere"))
	for _, path := range []string{
		f.at("a folder/vmlinuz"), f.at("a folder"), "../a folder", "../link/vmlinuz", "~/a folder", "~/link/../a folder/vmlinuz", "../link/",
	} {
		s, err := lookAt(path)
		require.NoError(t, err, path)
		assert.Equal(t, f.kit.Release, s.release)
		assert.Equal(t, path, s.text)
	}
	require.NoError(t, os.Chdir(f.at("link")))
	_, err := lookAt(".")
	require.NoError(t, err)
}
