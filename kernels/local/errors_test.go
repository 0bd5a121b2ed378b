// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// foreignELF is the head of an ELF file for another machine.
func foreignELF(class elf.Class, m elf.Machine) []byte {
	var b bytes.Buffer
	ident := [16]byte{0x7f, 'E', 'L', 'F', byte(class), 1, 1}
	if class == elf.ELFCLASS32 {
		_ = binary.Write(&b, binary.LittleEndian, elf.Header32{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(m), Version: 1, Ehsize: 52})
	} else {
		_ = binary.Write(&b, binary.LittleEndian, elf.Header64{Ident: ident, Type: uint16(elf.ET_EXEC), Machine: uint16(m), Version: 1, Ehsize: 64})
	}
	return b.Bytes()
}

func with(text []byte, at int, bytes ...byte) []byte {
	text = append([]byte(nil), text...)
	copy(text[at:], bytes)
	return text
}

// edited is the kit's config with old replaced.
func (f folder) edited(old, new string) []byte {
	text, err := os.ReadFile(f.kit.ConfigFile)
	require.NoError(f, err)
	require.Contains(f, string(text), old)
	return []byte(strings.ReplaceAll(string(text), old, new))
}

// TestErrors: whatever is wrong with a path is told in a sentence that says
// what and where, and the exit status is 2.
func TestErrors(t *testing.T) {
	kits := debianKits(t, "6.1,6.12")
	kit, other := kits[0], kits[1]
	image, err := os.ReadFile(kit.BZImage)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		arrange func(folder)
		path    string
		want    []string
	}{
		"nothing there":       {func(folder) {}, "no/such/file", []string{"there is no no/such/file in "}},
		"empty folder":        {func(folder) {}, "", []string{"is empty"}},
		"dangling link":       {func(f folder) { f.link("/no/where", "k") }, "k", []string{"/k is a link to /no/where, which does not exist"}},
		"dangling on the way": {func(f folder) { f.link("/no/where", "d") }, "d/vmlinuz", []string{"/d is a link to /no/where, which does not exist"}},
		"a pipe":              {func(f folder) { require.NoError(f, unix.Mkfifo(f.at("p"), 0o600)) }, "p", []string{"neither a file nor a folder"}},
		"no kernel": {func(f folder) { f.write("readme", []byte("x")) }, "",
			[]string{"there is no kernel in it", "boot/vmlinuz-RELEASE", "lib/modules/RELEASE/vmlinuz"}},
		"two kernels": {func(f folder) {
			f.deb()
			f.copy(other.BZImage, "boot/vmlinuz-"+other.Release)
		}, "", []string{"2 kernels, " + kit.Release + ", " + other.Release, "-kernel /", "/boot/vmlinuz-" + other.Release}},
		"two kernels, spaces in the path": {func(f folder) {
			f.copy(kit.BZImage, "a b/vmlinuz-x")
			f.copy(other.BZImage, "a b/vmlinuz-y")
		}, "a b", []string{"-kernel '/", "/a b/vmlinuz-y'"}},
		"two builds of one": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			at := bytes.Index(image, []byte("#1 SMP"))
			f.write("bzImage", with(image, at, []byte("#2")...))
		}, "", []string{"two builds of " + kit.Release, "#1 SMP", "#2 SMP"}},
		"another name than content": {func(f folder) { f.copy(kit.BZImage, "boot/vmlinuz-6.12.1") }, "",
			[]string{"by its name kernel 6.12.1, and in it is " + kit.Release}},
		"modules alone": {func(f folder) { f.modules("lib/modules/{R}", "") }, "",
			[]string{"has the modules of " + kit.Release + " and no kernel", "kernel-core"}},
		"a modules folder": {func(f folder) { f.modules("lib/modules/{R}", "") }, "lib/modules/{R}", []string{"a modules folder alone"}},
		"headers alone":    {func(f folder) { f.devel("devel") }, "devel", []string{"headers and no kernel"}},
		"modules of another": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			f.tree(other.ModulesDir, "lib/modules/"+other.Release)
		}, "", []string{"the kernel is " + kit.Release, "are of " + other.Release}},
		"modules of another under its name": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			f.tree(filepath.Join(other.ModulesDir, "kernel/fs"), "lib/modules/{R}/kernel/fs")
		}, "", []string{"the kernel is " + kit.Release, "are of " + other.Release, "whatever the folder is called"}},
		"damaged module": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			f.write("lib/modules/{R}/kernel/a.ko.xz", []byte("\xfd7zXZ\x00 no"))
		}, "", []string{"one of its modules is damaged", "a.ko.xz"}},
		"modules link that dangles": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			f.link("/no/where", "lib/modules/{R}")
		}, "", []string{"its modules folder", "is a link to /no/where"}},
		"headers of another": {func(f folder) {
			f.deb()
			f.write("usr/src/linux-headers-{R}/include/generated/utsrelease.h", []byte("#define UTS_RELEASE \"6.1.0-1\"\n"))
		}, "", []string{"the headers in ", "are of 6.1.0-1"}},
		"headers without what they build on": {func(f folder) {
			f.deb()
			require.NoError(f, os.RemoveAll(f.at("usr/lib/linux-kbuild-6.1")))
		}, "", []string{"are not whole", "linux-kbuild-6.1/scripts"}},
		"headers without the common ones": {func(f folder) {
			f.deb()
			require.NoError(f, os.RemoveAll(f.at("usr/src/linux-headers-"+strings.TrimSuffix(kit.Release, "-cloud-amd64")+"-common")))
		}, "", []string{"are not whole", "-common/Makefile"}},

		"arm64 image":           {func(f folder) { f.write("Image", with(make([]byte, 4096), 56, []byte("ARM\x64")...)) }, "Image", []string{"arm64", "x86-64"}},
		"arm64 in a folder":     {func(f folder) { f.write("Image", with(make([]byte, 4096), 56, []byte("ARM\x64")...)) }, "", []string{"Image is a kernel for arm64"}},
		"EFI zboot":             {func(f folder) { f.write("k", with(make([]byte, 4096), 0, []byte("MZ\x00\x00zimg")...)) }, "k", []string{"vmlinuz.efi"}},
		"unified":               {func(f folder) { f.write("k", with(make([]byte, 4096), 0, []byte("MZ")...)) }, "k", []string{"unified kernel image"}},
		"i386 vmlinux":          {func(f folder) { f.write("vmlinux", foreignELF(elf.ELFCLASS32, elf.EM_386)) }, "vmlinux", []string{"32-bit x86"}},
		"arm64 vmlinux":         {func(f folder) { f.write("vmlinux", foreignELF(elf.ELFCLASS64, elf.EM_AARCH64)) }, "vmlinux", []string{"arm64"}},
		"s390 vmlinux":          {func(f folder) { f.write("vmlinux", foreignELF(elf.ELFCLASS64, elf.EM_S390)) }, "vmlinux", []string{"EM_S390"}},
		"i386 bzImage":          {func(f folder) { f.write("vmlinuz", with(image, 0x236, image[0x236]&^1)) }, "vmlinuz", []string{"32-bit x86 (" + kit.Release}},
		"a gzip file":           {func(f folder) { f.write("vmlinux.gz", f.pack(".gz", image[:4096])) }, "vmlinux.gz", []string{"gunzip"}},
		"a deb":                 {func(f folder) { f.write("l.deb", []byte("!<arch>\ndebian-binary")) }, "l.deb", []string{"dpkg -x"}},
		"an rpm":                {func(f folder) { f.write("l.rpm", []byte("\xed\xab\xee\xdb\x03\x00")) }, "l.rpm", []string{"rpm2cpio"}},
		"a module":              {func(f folder) { f.modules("m", "") }, "m/kernel/drivers/virtio/virtio.ko", []string{"is a kernel module"}},
		"a program":             {func(f folder) { f.copy("/bin/sh", "prog") }, "prog", []string{"no \"Linux version\" line"}},
		"an empty file":         {func(f folder) { f.write("k", nil) }, "k", []string{"it is empty"}},
		"a text":                {func(f folder) { f.write("k", []byte("hello\n")) }, "k", []string{"no kernel image"}},
		"truncated":             {func(f folder) { f.write("vmlinuz", image[:len(image)/2]) }, "vmlinuz", []string{"damaged kernel image", "truncated"}},
		"truncated in its head": {func(f folder) { f.write("vmlinuz", image[:0x220]) }, "vmlinuz", []string{"damaged kernel image", "too short"}},
		"no version":            {func(f folder) { f.write("vmlinuz", with(image, 0x20e, 0, 0)) }, "vmlinuz", []string{"names no version"}},
		"a version to write elsewhere": {func(f folder) {
			f.write("vmlinuz", with(image, bytes.Index(image, []byte(kit.Release)), []byte("6.1/../../../x ")...))
		}, "vmlinuz", []string{"names no version", "6.1/../"}},

		"no livepatch": {func(f folder) {
			f.deb()
			f.write("boot/config-{R}", f.edited("CONFIG_LIVEPATCH=y", "# CONFIG_LIVEPATCH is not set"))
		}, "", []string{"does not set CONFIG_LIVEPATCH (live patches are what is tested)", "`scripts/config -e LIVEPATCH && make olddefconfig`"}},
		"no livepatch, nor what it needs": {func(f folder) {
			f.deb()
			f.write("boot/config-{R}", []byte(strings.NewReplacer("CONFIG_LIVEPATCH=y\n", "", "CONFIG_KALLSYMS_ALL=y\n", "", "CONFIG_FUNCTION_TRACER=y\n", "CONFIG_TRIM_UNUSED_KSYMS=y\n").Replace(string(f.edited("", "")))))
		}, "", []string{"-e KALLSYMS_ALL -e FUNCTION_TRACER -e LIVEPATCH -d TRIM_UNUSED_KSYMS"}},
		"no initramfs": {func(f folder) {
			f.deb()
			f.write("boot/config-{R}", f.edited("CONFIG_BLK_DEV_INITRD=y", "# no"))
		}, "", []string{"CONFIG_BLK_DEV_INITRD (a guest's files come in an initramfs)"}},
		"config of another": {func(f folder) { f.deb(); f.copy(other.ConfigFile, "boot/config-{R}") }, "", []string{"the kernel is " + kit.Release, "is of 6.12"}},
		"config for another machine": {func(f folder) {
			f.deb()
			f.write("boot/config-{R}", f.edited("CONFIG_X86_64=y", "CONFIG_ARM64=y"))
		}, "", []string{"kernel for arm64"}},
		"empty config": {func(f folder) { f.deb(); f.write("boot/config-{R}", nil) }, "", []string{"sets no option"}},

		"a tree that is not configured": {func(f folder) {
			f.built("linux")
			require.NoError(f, os.Remove(f.at("linux/.config")))
		}, "linux", []string{"not configured", "kernels build VERSION --tree "}},
		"a tree that is not built": {func(f folder) {
			f.built("linux")
			require.NoError(f, os.Remove(f.at("linux/vmlinux")))
			require.NoError(f, os.Remove(f.at("linux/"+treeBZImage)))
		}, "linux", []string{"configured and not built", "make -C "}},
		"a tree without livepatch, not built either": {func(f folder) {
			f.built("linux")
			require.NoError(f, os.Remove(f.at("linux/vmlinux")))
			f.write("linux/.config", f.edited("CONFIG_LIVEPATCH=y", ""))
		}, "linux", []string{"does not set CONFIG_LIVEPATCH"}},
		"a tree whose config was changed": {func(f folder) {
			f.built("linux")
			text, err := os.ReadFile(f.at("linux/.config"))
			require.NoError(f, err)
			f.write("linux/.config", append(text, "CONFIG_KASAN=y\n"...))
		}, "linux", []string{".config was changed after it was built", "CONFIG_KASAN"}},
		"a tree whose bzImage is old": {func(f folder) {
			f.built("linux")
			f.write("linux/"+treeBZImage, with(image, bytes.Index(image, []byte("#1 SMP")), []byte("#0")...))
		}, "linux", []string{"of another build", "make -C ", "bzImage"}},
		"a tree that moved on": {func(f folder) {
			f.built("linux")
			f.write("linux/include/generated/utsrelease.h", []byte("#define UTS_RELEASE \"6.1.9\"\n"))
		}, "linux", []string{"calls itself \"6.1.9\" by now"}},
		"a tree without Module.symvers": {func(f folder) {
			f.built("linux")
			require.NoError(f, os.Remove(f.at("linux/Module.symvers")))
		}, "linux", []string{"without its modules", "make -C "}},
		"an output folder whose tree is gone": {func(f folder) {
			f.output("out", "src", f.dir+"/src")
			require.NoError(f, os.RemoveAll(f.at("src")))
		}, "out", []string{"out/source is a link to ", "the tree that it was built from is gone"}},
		"a tree without x86": {func(f folder) {
			f.built("linux")
			require.NoError(f, os.RemoveAll(f.at("linux/arch/x86")))
		}, "linux", []string{"without arch/x86"}},

		"kit.json that is none":   {func(f folder) { f.write("kit.json", []byte("{")) }, "", []string{"kit.json", "unexpected end of JSON"}},
		"kit.json without a file": {func(f folder) { f.write("kit.json", []byte(`{"VMLinux":"vmlinux"}`)) }, "", []string{"which its kit.json names, cannot be read"}},
		"kit.json of another": {func(f folder) {
			f.copy(kit.BZImage, "vmlinuz")
			f.write("kit.json", []byte(`{"BZImage":"vmlinuz","Release":"6.12.1"}`))
		}, "", []string{"kit.json is of 6.12.1", kit.Release}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, kit)
			c.arrange(f)
			_, err := lookAt(f.at(c.path))
			requireBad(t, err, f.at(c.path), c.want)
		})
	}
}

func requireBad(t *testing.T, err error, path string, want []string) {
	t.Helper()
	var bad *kernels.SelectorError
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, path, bad.Text)
	for _, w := range want {
		assert.Contains(t, bad.Error(), w)
	}
	assert.NotContains(t, bad.Error(), "%!")
}

// TestErrorsInside: what only the unpacked kernel shows.
func TestErrorsInside(t *testing.T) {
	kits := debianKits(t, "6.1,6.12")
	kit, other := kits[0], kits[1]
	image, err := os.ReadFile(kit.BZImage)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		arrange func(folder) string
		want    []string
	}{
		"damaged in the middle": {func(f folder) string {
			return f.write("vmlinuz", with(image, len(image)/2, make([]byte, 4096)...))
		}, []string{"it is damaged", "unpack payload"}},
		"a head of another kernel": {func(f folder) string {
			return f.write("vmlinuz", with(image, bytes.Index(image, []byte(kit.Release)), []byte("6.1.9 ")...))
		}, []string{"its head says 6.1.9", "the kernel in it " + kit.Release}},
		"virtio is a module and there is none": {func(f folder) string { return f.copy(kit.BZImage, "vmlinuz") },
			[]string{"a guest needs virtio_pci", "not built in, as far as the image shows", "no modules folder", "lib/modules/" + kit.Release}},
		"virtio is a module, says the config": {func(f folder) string {
			f.copy(kit.ConfigFile, "config")
			return f.copy(kit.BZImage, "vmlinuz")
		}, []string{"a guest needs virtio_pci", "CONFIG_VIRTIO_PCI=m"}},
		"virtio is not among the modules": {func(f folder) string {
			f.copy(kit.ConfigFile, "config")
			f.modules("lib/modules/{R}", "")
			require.NoError(f, os.RemoveAll(f.at("lib/modules/{R}/kernel/drivers/char")))
			return f.copy(kit.BZImage, "vmlinuz")
		}, []string{"a guest needs virtio_console", "it is not in /"}},
		"a vmlinux without PVH, alone": {func(f folder) string { return f.write("vmlinux", withoutPVH(t, other)) },
			[]string{"no PVH entry", "bzImage"}},
		"no livepatch, to the eye": {func(f folder) string {
			text, err := os.ReadFile(other.VMLinux)
			require.NoError(t, err)
			return f.write("vmlinux", bytes.ReplaceAll(text, []byte("livepatch: enabling patch"), []byte("livepatch: enabling XXXXX")))
		}, []string{"built without CONFIG_LIVEPATCH", "no config lies beside it"}},
		"no livepatch, by the config in the image": {func(f folder) string {
			text, err := os.ReadFile(other.VMLinux)
			require.NoError(t, err)
			return f.write("vmlinux", append(text, ikconfig(f, []byte("CONFIG_X86_64=y\n"))...))
		}, []string{"config in the image", "CONFIG_LIVEPATCH"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t, kit)
			path := c.arrange(f)
			st, err := store.Open(t.TempDir())
			require.NoError(t, err)
			p := &Provider{Store: st}
			cand, ok, err := p.FromPath(t.Context(), path)
			require.NoError(t, err)
			require.True(t, ok)
			_, err = p.Get(t.Context(), cand)
			requireBad(t, err, path, c.want)
			entries, err := st.Entries(false)
			require.NoError(t, err)
			assert.Empty(t, entries, "nothing stays of a kit that failed")
		})
	}
}

// withoutPVH is the kit's vmlinux with its PVH note turned into another.
func withoutPVH(t *testing.T, kit *kernels.Kit) []byte {
	t.Helper()
	text, err := os.ReadFile(kit.VMLinux)
	require.NoError(t, err)
	f, err := elf.Open(kit.VMLinux)
	require.NoError(t, err)
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE {
			notes := text[p.Off : p.Off+p.Filesz]
			copy(notes, bytes.ReplaceAll(notes, []byte("Xen\x00"), []byte("Xyn\x00")))
		}
	}
	return text
}

// ikconfig is what CONFIG_IKCONFIG puts into an image.
func ikconfig(f folder, text []byte) []byte {
	return append(append([]byte("IKCFG_ST"), f.pack(".gz", text)...), "IKCFG_ED"...)
}
