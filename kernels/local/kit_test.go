// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

func testProvider(t *testing.T) *Provider {
	t.Helper()
	st, err := store.Open(t.TempDir())
	require.NoError(t, err)
	return &Provider{Store: st}
}

func (f folder) get(p *Provider, path string) (kernels.Candidate, *kernels.Kit) {
	f.Helper()
	c, ok, err := p.FromPath(f.Context(), path)
	require.NoError(f, err)
	require.True(f, ok)
	kit, err := p.Get(f.Context(), c)
	require.NoError(f, err)
	return c, kit
}

// stamp is every file below dir with its size and time of change, by which a
// write to any of them would show.
func (f folder) stamp(dir string) map[string]string {
	f.Helper()
	all := map[string]string{}
	require.NoError(f, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[path] = info.Mode().String() + info.ModTime().String()
		}
		return err
	}))
	return all
}

// TestKit: a kit of each compression is like the one that it was arranged
// from, nothing was written beside the user's files, and it is made once.
func TestKit(t *testing.T) {
	debian := debianKit(t, "6.1")
	for name, arrange := range map[string]func(folder){
		"deb": folder.deb, "el9": func(f folder) { f.el(".xz") }, "suse": folder.suse, "by hand, gz": func(f folder) {
			f.copy(debian.VMLinux, "vmlinux")
			f.copy(debian.ConfigFile, "config")
			f.modules("lib/modules/{R}", ".gz")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, debian)
			arrange(f)
			before := f.stamp(f.dir)
			p := testProvider(t)
			c, kit := f.get(p, f.dir)
			assert.False(t, c.Cached)
			assert.Equal(t, before, f.stamp(f.dir))

			assert.Equal(t, debian.Release, kit.Release)
			assert.Equal(t, debian.Release, c.Release)
			assert.Equal(t, c.Version, kit.Version)
			assert.Regexp(t, `^6\.1\.[0-9]+-[0-9]+\+local\.[0-9a-f]{8}$`, kit.Version, "the package's version, by the kernel's own word")
			assert.Equal(t, "local:"+f.dir, kit.Source)
			assert.Equal(t, kit.HeadersDir != "", c.HasHeaders)
			assert.Equal(t, kit.VMLinux, kit.BootImage())
			for _, capability := range kernels.Capabilities() {
				assert.Equal(t, debian.Can(capability), kit.Can(capability), capability)
			}
			want, err := os.ReadFile(debian.VMLinux)
			require.NoError(t, err)
			got, err := os.ReadFile(kit.VMLinux)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got))
			files, _, err := kit.ModuleFiles("virtio_console", "virtio_pci")
			require.NoError(t, err)
			assert.Len(t, files, 6)

			c, again := f.get(p, f.dir)
			assert.True(t, c.Cached)
			assert.Equal(t, kit, again)
		})
	}
}

// TestChangedImage: another content is another kit, and so is another config.
func TestChangedImage(t *testing.T) {
	kits := debianKits(t, "6.12,7")
	f := newFolder(t, kits[0])
	p := testProvider(t)
	path := f.copy(f.kit.BZImage, "vmlinuz")
	_, one := f.get(p, path)
	f.copy(f.kit.ConfigFile, "config")
	_, two := f.get(p, path)
	f.copy(kits[1].BZImage, "vmlinuz")
	require.NoError(t, os.Remove(f.at("config")))
	stale, _, err := p.FromPath(t.Context(), path)
	require.NoError(t, err)
	f.copy(f.kit.BZImage, "vmlinuz")
	_, err = p.Get(t.Context(), stale)
	requireBad(t, err, path, []string{"it changed while it was looked at"})
	_, three := f.get(p, path)
	assert.NotEqual(t, one.Dir, two.Dir)
	assert.NotEqual(t, one.Version, two.Version)
	assert.Equal(t, one, three)
	assert.Equal(t, kits[1].Release, stale.Release)
}

// TestBareImage: a vmlinuz by itself is a kit where the modules that a guest
// needs are built in.
func TestBareImage(t *testing.T) {
	debian := debianKit(t, "6.12")
	f := newFolder(t, debian)
	_, kit := f.get(testProvider(t), f.copy(debian.BZImage, "vmlinuz"))
	_, builtin, err := kit.ModuleFiles("virtio_pci", "virtio_console")
	require.NoError(t, err)
	assert.Equal(t, []string{"virtio_pci", "virtio_console"}, builtin)
	assert.Empty(t, kit.HeadersDir)
	for _, c := range []kernels.Capability{kernels.Livepatch, kernels.SysfsReplace, kernels.BTF, kernels.ORC, kernels.IBT, kernels.SlowDynamicPreemptTCG} {
		assert.True(t, kit.Can(c), c)
	}
	assert.False(t, kit.Can(kernels.VirtioModules))
}

// TestIKConfig: the config inside an image is preferred to what it shows.
func TestIKConfig(t *testing.T) {
	debian := debianKit(t, "6.12")
	f := newFolder(t, debian)
	image, err := os.ReadFile(debian.VMLinux)
	require.NoError(t, err)
	config, err := os.ReadFile(debian.ConfigFile)
	require.NoError(t, err)
	image = append(image, "IKCFG_ST, the words alone"...)
	path := f.write("vmlinux", append(image, ikconfig(f, config)...))
	_, kit := f.get(testProvider(t), path)
	got, err := os.ReadFile(kit.ConfigFile)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(config, got))
}

// TestNoPVH: a kernel that QEMU cannot start directly is started by its
// bzImage, and its vmlinux is there for everything else.
func TestNoPVH(t *testing.T) {
	debian := debianKit(t, "6.12")
	f := newFolder(t, debian)
	f.write("vmlinux", withoutPVH(t, debian))
	f.copy(debian.BZImage, "vmlinuz")
	_, kit := f.get(testProvider(t), f.dir)
	assert.True(t, kit.NoPVH)
	assert.Equal(t, kit.BZImage, kit.BootImage())
	assert.FileExists(t, kit.VMLinux)
}

// TestCopyWithoutDebug: sections with debug information take no room in the
// copy, and all else is as it was.
func TestCopyWithoutDebug(t *testing.T) {
	f := newFolder(t, &kernels.Kit{})
	// A Go program has .debug_ sections, like a vmlinux; this one has not, since
	// `go test` links without them.
	exe := f.at("program")
	f.write("main.go", []byte("package main\n\nfunc main() {}\n"))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", exe, f.at("main.go"))
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, copyVMLinux(exe, f.at("copy")))
	from, err := elf.Open(exe)
	require.NoError(t, err)
	defer from.Close()
	to, err := elf.Open(f.at("copy"))
	require.NoError(t, err)
	defer to.Close()
	debug := 0
	for i, s := range from.Sections {
		if strings.HasPrefix(s.Name, ".debug_") {
			debug++
			assert.Equal(t, elf.SHT_NOBITS, to.Sections[i].Type, s.Name)
			continue
		}
		require.Equal(t, s.SectionHeader, to.Sections[i].SectionHeader)
		if s.Type == elf.SHT_NOBITS || s.Type == elf.SHT_NULL {
			continue
		}
		want, err := s.Data()
		require.NoError(t, err)
		got, err := to.Sections[i].Data()
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), s.Name)
	}
	require.Positive(t, debug)
	// In a Go program the table of sections lies in a segment, where it may
	// differ: it was compared above.
	table := sectionTable(t, exe)
	for i, p := range from.Progs {
		want, err := io.ReadAll(p.Open())
		require.NoError(t, err)
		got, err := io.ReadAll(to.Progs[i].Open())
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for j := range want {
			if at := int64(p.Off) + int64(j); want[j] != got[j] && (at < table.start || at >= table.end) {
				require.Failf(t, "the copy differs", "segment %d, byte %d of the file", i, at)
			}
		}
	}
}

// sectionTable is the part of an ELF file that its table of sections takes.
func sectionTable(t *testing.T, path string) span {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var h elf.Header64
	require.NoError(t, binary.Read(f, binary.LittleEndian, &h))
	return span{int64(h.Shoff), int64(h.Shoff) + int64(h.Shnum)*int64(h.Shentsize)}
}

// TestHost: the running kernel's files, where a distribution puts them.
func TestHost(t *testing.T) {
	debian := debianKit(t, "6.1")
	p := testProvider(t)
	f := newFolder(t, debian)
	f.deb()
	p.Host = Host{Root: f.dir, Release: debian.Release}
	c, kit := f.get(p, kernels.HostKernel)
	assert.Equal(t, "local:host", kit.Source)
	assert.Equal(t, debian.Release, c.Release)
	assert.Equal(t, debian.HeadersDir, kit.HeadersDir)

	// An upgrade replaced the files of the kernel that still runs.
	p.Host.Release = "6.1.0-1-cloud-amd64"
	require.NoError(t, os.Rename(f.at("boot/vmlinuz-{R}"), f.at("boot/vmlinuz-6.1.0-1-cloud-amd64")))
	_, _, err := p.FromPath(t.Context(), kernels.HostKernel)
	require.ErrorContains(t, err, debian.Release)

	p.Host.Release = "6.1.0-2-cloud-amd64"
	_, _, err = p.FromPath(t.Context(), kernels.HostKernel)
	var lacking *kernels.Lacking
	require.ErrorAs(t, err, &lacking)
	for _, want := range []string{"no image (" + f.dir + "/boot/vmlinuz-6.1.0-2-cloud-amd64)", "no modules", "no headers", "linux-image-6.1.0-2-cloud-amd64", "kernel-devel"} {
		assert.Contains(t, err.Error(), want)
	}
}
