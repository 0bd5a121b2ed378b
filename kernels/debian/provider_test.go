// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/boot/bzimage"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// vmlinuz is a kernel image with a PVH note and nothing else, packed with gzip.
func vmlinuz(t *testing.T) string {
	t.Helper()
	note := binary.LittleEndian.AppendUint32(nil, 4)
	note = binary.LittleEndian.AppendUint32(note, 8)
	note = binary.LittleEndian.AppendUint32(note, 18)
	note = append(note, "Xen\x0012345678"...)
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 1}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	var kernel bytes.Buffer
	require.NoError(t, binary.Write(&kernel, binary.LittleEndian, h))
	require.NoError(t, binary.Write(&kernel, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: 120, Filesz: uint64(len(note))}))
	kernel.Write(note)
	payload := packXZ(t, kernel.Bytes())
	payload = binary.LittleEndian.AppendUint32(payload, uint32(kernel.Len()))
	var b bytes.Buffer
	require.NoError(t, binary.Write(&b, binary.LittleEndian, &bzimage.LinuxHeader{
		HeaderMagic: bzimage.HeaderMagic, Protocolversion: 0x20f, SetupSects: 2, PayloadSize: uint32(len(payload))}))
	image := make([]byte, 3*512)
	copy(image, b.Bytes())
	return string(append(image, payload...))
}

const fakeRelease = "6.12.9+deb13-cloud-amd64"

// addKernel puts a kernel of four packages into the archive.
func addKernel(t *testing.T, f *fake, image string) {
	const version, r = "6.12.9-1", fakeRelease
	f.add("linux-image-"+r, version, newDeb(t, ".xz",
		member{name: "./boot/vmlinuz-" + r, content: image},
		member{name: "./boot/config-" + r, content: "CONFIG_LIVEPATCH=y\n"},
		member{name: "./boot/System.map-" + r, content: "ffffffffffffffff B the real one is elsewhere\n"},
		member{name: "./usr/lib/modules/" + r + "/kernel/x.ko", content: "module"},
		member{name: "./usr/share/doc/linux-image/copyright", content: "left out"},
	))
	f.add("linux-headers-"+r, version, newDeb(t, ".xz",
		member{name: "./usr/src/linux-headers-" + r + "/Makefile", content: "include x\n"},
		member{name: "./usr/src/linux-headers-" + r + "/scripts", kind: tar.TypeSymlink, link: "../../lib/linux-kbuild-6.12.9+deb13/scripts"},
	), "Depends: linux-headers-6.12.9+deb13-common (= "+version+"), linux-image-"+r+" (= "+version+"), linux-kbuild-6.12.9+deb13, gcc-14")
	f.add("linux-headers-6.12.9+deb13-common", version, newDeb(t, ".xz",
		member{name: "./usr/src/linux-headers-6.12.9+deb13-common/arch/x86/Makefile", content: "x"},
		member{name: "./usr/src/linux-headers-6.12.9+deb13-common/arch/Kconfig", content: "x"},
		member{name: "./usr/src/linux-headers-6.12.9+deb13-common/arch/arm64/Makefile", content: "left out"}))
	f.add("linux-kbuild-6.12.9+deb13", version, newDeb(t, ".xz", member{name: "./usr/lib/linux-kbuild-6.12.9+deb13/scripts/x", content: "x"}))
	// What must not become a candidate.
	f.add("linux-image-cloud-amd64", version, nil)
	f.add("linux-image-6.12-cloud-amd64", version, nil)
	f.add("linux-image-"+r+"-unsigned", version, nil)
	f.add("linux-image-"+r+"-dbg", version, nil)
	f.add("linux-image-6.12.9+deb13-rt-amd64", version, nil)
	f.publish()
}

func onlyCandidate(t *testing.T, p *Provider) kernels.Candidate {
	t.Helper()
	all, err := p.List(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

func TestProvider(t *testing.T) {
	f := newFake(t)
	addKernel(t, f, vmlinuz(t))
	a := f.archive()
	p := NewProvider(a)
	c := onlyCandidate(t, p)
	assert.Equal(t, fakeRelease, c.Release)
	assert.Equal(t, "debian:trixie", c.Source)
	assert.Equal(t, "cloud-amd64", c.Flavour)
	assert.True(t, c.HasHeaders)
	assert.True(t, c.Native)
	assert.False(t, c.Cached)
	assert.NotZero(t, c.Bytes)

	kit, err := p.Get(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, fakeRelease, kit.Release)
	assert.Equal(t, "/usr/src/linux-headers-"+fakeRelease, kit.HeadersDir)
	assert.Equal(t, []kernels.Mount{
		{Host: kit.Dir + "/usr/src", Inside: "/usr/src"},
		{Host: kit.Dir + "/usr/lib/linux-kbuild-6.12.9+deb13", Inside: "/usr/lib/linux-kbuild-6.12.9+deb13"}}, kit.Mounts)
	assert.Empty(t, kit.SystemMap, "a stub is none")
	assert.Equal(t, "y", kit.ConfigValue("CONFIG_LIVEPATCH"))
	for _, path := range []string{kit.VMLinux, kit.BZImage, kit.ModulesDir + "/kernel/x.ko",
		kit.Dir + "/usr/src/linux-headers-6.12.9+deb13-common/arch/x86/Makefile", kit.Dir + "/usr/src/linux-headers-6.12.9+deb13-common/arch/Kconfig"} {
		assert.FileExists(t, path)
	}
	assert.NoDirExists(t, kit.Dir+"/usr/src/linux-headers-6.12.9+deb13-common/arch/arm64")
	assert.NoDirExists(t, kit.Dir+"/usr/share")
	assert.Empty(t, leftovers(t, a))

	// Without the archive all this goes on working.
	f.server.Close()
	f.now = f.now.Add(100 * 24 * time.Hour)
	p = NewProvider(f.archiveIn(a.Store))
	cat := &kernels.Catalogue{Providers: []kernels.Provider{p}}
	got, err := cat.Select(t.Context(), "6.12")
	require.NoError(t, err)
	assert.True(t, got[0].Cached)
	again, err := cat.Get(t.Context(), got[0])
	require.NoError(t, err)
	assert.Equal(t, kit, again)
}

func TestDamagedKitIsFetchedAgain(t *testing.T) {
	f := newFake(t)
	addKernel(t, f, vmlinuz(t))
	a := f.archive()
	p := NewProvider(a)
	c := onlyCandidate(t, p)
	kit, err := p.Get(t.Context(), c)
	require.NoError(t, err)
	whole, err := os.ReadFile(kit.VMLinux)
	require.NoError(t, err)
	for name, spoil := range map[string]func() error{
		"truncated": func() error { return os.Truncate(kit.VMLinux, 10) },
		"changed":   func() error { return os.WriteFile(kit.VMLinux, bytes.Repeat([]byte("x"), len(whole)), 0o644) },
		"removed":   func() error { return os.Remove(kit.VMLinux) },
	} {
		require.NoError(t, spoil(), name)
		kit, err = p.Get(t.Context(), c)
		require.NoError(t, err, name)
		got, err := os.ReadFile(kit.VMLinux)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(whole, got), name)
	}
	require.NoError(t, os.Remove(kit.VMLinux))
	f.server.Close()
	_, err = NewProvider(f.archiveIn(a.Store)).Get(t.Context(), c)
	require.True(t, kernels.IsLacking(err), "%v", err)
}

func TestKernelThatCannotStart(t *testing.T) {
	f := newFake(t)
	addKernel(t, f, "no kernel at all")
	a := f.archive()
	p := NewProvider(a)
	_, err := p.Get(t.Context(), onlyCandidate(t, p))
	require.ErrorContains(t, err, "vmlinux")
	left, err := os.ReadDir(filepath.Join(a.Store.Dir, "kernels"))
	if err == nil {
		assert.Empty(t, left, "half a kit is none")
	}
}

func TestKernelThatWentAway(t *testing.T) {
	f := newFake(t)
	addKernel(t, f, vmlinuz(t))
	p := NewProvider(f.archive())
	c := onlyCandidate(t, p)
	c.Version = "6.12.8-1"
	_, err := p.Get(t.Context(), c)
	require.ErrorContains(t, err, "6.12.8-1")
	require.ErrorContains(t, err, "kernels list")
}

// Two processes that want one kit fetch it once.
func TestTwoProcesses(t *testing.T) {
	if dir := os.Getenv("TEST_KIT_CACHE"); dir != "" {
		st, err := store.Open(dir)
		require.NoError(t, err)
		suite := Suite{Name: "trixie", Part: archivePart, Native: "6.12", Tools: true}
		mirror := os.Getenv("TEST_KIT_MIRROR")
		a := &Archive{Store: st, Mirror: Mirror{Archive: mirror, Security: mirror + "-security"}, Suites: []Suite{suite}, Now: time.Now, patience: defaultPatience}
		kit, err := NewProvider(a).Get(t.Context(), kernels.Candidate{Release: fakeRelease, Version: "6.12.9-1"})
		require.NoError(t, err)
		require.FileExists(t, kit.VMLinux)
		return
	}
	f := newFake(t)
	addKernel(t, f, vmlinuz(t))
	a := f.archive()
	onlyCandidate(t, NewProvider(a)) // the index
	f.asked()
	var children []*exec.Cmd
	for range 3 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestTwoProcesses$", "-test.count=1")
		cmd.Env = append(os.Environ(), "TEST_KIT_CACHE="+a.Store.Dir, "TEST_KIT_MIRROR="+a.Mirror.Archive)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(out.String())
			}
		})
		children = append(children, cmd)
	}
	for _, cmd := range children {
		require.NoError(t, cmd.Wait())
	}
	pool := 0
	for _, request := range f.asked() {
		if strings.Contains(request, "/pool/") {
			pool++
		}
	}
	assert.Equal(t, 4, pool, "each package once")
}

// A full disk is said to be one, and leaves nothing behind.
func TestDiskFull(t *testing.T) {
	if os.Getenv("TEST_SMALL_DISK") == "" {
		// In a mount namespace of its own, with which the small disk goes,
		// whatever becomes of this process.
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDiskFull$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), "TEST_SMALL_DISK=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || bytes.Contains(out, []byte("--- SKIP")) {
			t.Skipf("no small disk to be had: %v %s", err, out)
		}
		require.NoError(t, err, "%s", out)
		return
	}
	dir := t.TempDir()
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	f := newFake(t)
	noise := make([]byte, 1<<20)
	for i := range noise { // that xz cannot shrink
		noise[i] = byte(i * i >> 7)
	}
	addKernel(t, f, vmlinuz(t)+string(noise))
	st, err := store.Open(dir)
	require.NoError(t, err)
	a := f.archiveIn(st)
	p := NewProvider(a)
	_, err = p.Get(t.Context(), onlyCandidate(t, p))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "SWITCHYARD_CACHE")
	entries, _ := filepath.Glob(filepath.Join(dir, "kernels", "*"))
	assert.Empty(t, entries)
	tmp, _ := filepath.Glob(filepath.Join(dir, "tmp", "*"))
	assert.Empty(t, tmp)
}

func TestWarmListIsQuick(t *testing.T) {
	f := newFake(t)
	addKernel(t, f, vmlinuz(t))
	a := f.archive()
	onlyCandidate(t, NewProvider(a))
	f.asked()
	f.setTamper(func(http.ResponseWriter, *http.Request) bool {
		t.Error("a warm list asks nobody")
		return false
	})
	onlyCandidate(t, NewProvider(f.archiveIn(a.Store)))
}
