// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// debianKits are real kits, from the cache or the archive, newest first.
func debianKits(t *testing.T, selector string) []*kernels.Kit {
	t.Helper()
	if testing.Short() {
		t.Skip("uses the real archive")
	}
	st, err := store.Open("")
	require.NoError(t, err)
	a, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	cat := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(a)}}
	found, err := cat.Select(t.Context(), selector)
	if kernels.IsLacking(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	var kits []*kernels.Kit
	for _, c := range found {
		kit, err := cat.Get(t.Context(), c)
		if kernels.IsLacking(err) {
			t.Skip(err)
		}
		require.NoError(t, err)
		kits = append(kits, kit)
	}
	return kits
}

func debianKit(t *testing.T, selector string) *kernels.Kit { return debianKits(t, selector)[0] }

// folder is a folder that a test arranges a real kit's files in.
type folder struct {
	*testing.T
	dir string
	kit *kernels.Kit
}

func newFolder(t *testing.T, kit *kernels.Kit) folder {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return folder{t, dir, kit}
}

// at is a path in the folder; R stands for the kit's release.
func (f folder) at(rel string) string {
	return filepath.Join(f.dir, strings.ReplaceAll(rel, "{R}", f.kit.Release))
}

func (f folder) mkdir(rel string) string {
	require.NoError(f, os.MkdirAll(f.at(rel), 0o755))
	return f.at(rel)
}

func (f folder) write(rel string, content []byte) string {
	require.NoError(f, os.MkdirAll(filepath.Dir(f.at(rel)), 0o755))
	// It may share its content with the cache: see tree.
	require.NoError(f, os.RemoveAll(f.at(rel)))
	require.NoError(f, os.WriteFile(f.at(rel), content, 0o644))
	return f.at(rel)
}

// copy puts a copy of a file there.
func (f folder) copy(from, rel string) string {
	content, err := os.ReadFile(from)
	require.NoError(f, err)
	return f.write(rel, content)
}

func (f folder) link(target, rel string) {
	require.NoError(f, os.MkdirAll(filepath.Dir(f.at(rel)), 0o755))
	require.NoError(f, os.Symlink(strings.ReplaceAll(target, "{R}", f.kit.Release), f.at(rel)))
}

// tree puts everything below from there: links as they are, files as copies
// that share their content where the disk allows.
func (f folder) tree(from, rel string) {
	f.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(f.at(rel), strings.TrimPrefix(path, from))
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case os.MkdirAll(filepath.Dir(to), 0o755) != nil:
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		if strings.HasSuffix(filepath.Dir(path), "/include/config") && strings.ToUpper(d.Name()) == d.Name() {
			return nil // thousands of empty files, one an option, that only make's own bookkeeping looks at
		}
		if os.Link(path, to) == nil {
			return nil
		}
		return copyFile(path, to)
	})
	require.NoError(f, err)
}

// headers puts Debian's headers where Debian does.
func (f folder) headers() {
	f.Helper()
	f.tree(filepath.Join(f.kit.Dir, "usr/src"), "usr/src")
	kbuild, err := filepath.Glob(filepath.Join(f.kit.Dir, "usr/lib/linux-kbuild-*"))
	require.NoError(f, err)
	for _, k := range kbuild {
		f.tree(k, "usr/lib/"+filepath.Base(k))
	}
}

// devel puts the same headers into one folder, as kernel-devel has them.
func (f folder) devel(rel string) {
	f.Helper()
	common, err := filepath.Glob(filepath.Join(f.kit.Dir, "usr/src/linux-headers-*-common"))
	require.NoError(f, err)
	require.Len(f, common, 1)
	kbuild, err := filepath.Glob(filepath.Join(f.kit.Dir, "usr/lib/linux-kbuild-*"))
	require.NoError(f, err)
	require.Len(f, kbuild, 1)
	own := filepath.Join(f.kit.Dir, "usr/src/linux-headers-"+f.kit.Release)
	for _, name := range []string{"Makefile", "include", "arch"} {
		f.tree(filepath.Join(common[0], name), filepath.Join(rel, name))
	}
	for _, name := range []string{"scripts", "tools"} {
		f.tree(filepath.Join(kbuild[0], name), filepath.Join(rel, name))
	}
	for _, name := range []string{".config", "Module.symvers", "include", "arch"} {
		f.tree(filepath.Join(own, name), filepath.Join(rel, name))
	}
	// Debian's has the upstream version there.
	at := filepath.Join(rel, "include/config/kernel.release")
	f.write(at, []byte(f.kit.Release+"\n"))
}

// modules puts there the modules that a guest needs, packed as suffix says,
// and the lists beside them.
func (f folder) modules(rel, suffix string) {
	f.Helper()
	files, _, err := f.kit.ModuleFiles("virtio_pci", "virtio_console", "pvpanic-mmio")
	require.NoError(f, err)
	for _, file := range files {
		ko, err := kernels.ReadModule(file)
		require.NoError(f, err)
		name, _, _ := strings.Cut(strings.TrimPrefix(file, f.kit.ModulesDir), ".ko")
		f.write(rel+name+".ko"+suffix, f.pack(suffix, ko))
	}
	f.copy(filepath.Join(f.kit.ModulesDir, "modules.builtin"), rel+"/modules.builtin")
}

// pack compresses as the suffix says.
func (f folder) pack(suffix string, data []byte) []byte {
	var b bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	var err error
	switch suffix {
	case ".xz":
		w, err = xz.WriterConfig{CheckSum: xz.CRC32}.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".gz":
		w = gzip.NewWriter(&b)
	default:
		return data
	}
	require.NoError(f, err)
	_, err = w.Write(data)
	require.NoError(f, err)
	require.NoError(f, w.Close())
	return b.Bytes()
}

// deb arranges the kit as unpacked Debian packages.
func (f folder) deb() {
	f.copy(f.kit.BZImage, "boot/vmlinuz-{R}")
	f.copy(f.kit.ConfigFile, "boot/config-{R}")
	f.write("boot/System.map-{R}", []byte("ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n"))
	f.modules("lib/modules/{R}", "")
	f.headers()
	f.link("/usr/src/linux-headers-{R}", "lib/modules/{R}/build")
}

// el arranges it as unpacked kernel-core, kernel-modules-core and
// kernel-devel.
func (f folder) el(suffix string) {
	f.copy(f.kit.BZImage, "lib/modules/{R}/vmlinuz")
	f.copy(f.kit.ConfigFile, "lib/modules/{R}/config")
	f.write("lib/modules/{R}/System.map", bytes.Repeat([]byte("ffffffff81000000 T _text\n"), 1000))
	f.modules("lib/modules/{R}", suffix)
	f.devel("usr/src/kernels/{R}")
	f.link("/usr/src/kernels/{R}", "lib/modules/{R}/build")
	f.link("build", "lib/modules/{R}/source")
}

// suse arranges it as unpacked kernel-default, kernel-devel and
// kernel-default-devel. The release would be VERSION-default there.
func (f folder) suse() {
	f.copy(f.kit.BZImage, "usr/lib/modules/{R}/vmlinuz")
	f.copy(f.kit.ConfigFile, "usr/lib/modules/{R}/config")
	f.link("../usr/lib/modules/{R}/vmlinuz", "boot/vmlinuz-{R}")
	f.link("../usr/lib/modules/{R}/config", "boot/config-{R}")
	f.modules("usr/lib/modules/{R}", ".zst")
	f.devel("usr/src/linux-5.14.21-1")
	const obj = "usr/src/linux-5.14.21-1-obj/x86_64/default"
	for _, name := range []string{".config", "Module.symvers", "include/generated", "include/config", "arch/x86/include/generated"} {
		f.mkdir(filepath.Dir(obj + "/" + name))
		require.NoError(f, os.Rename(f.at("usr/src/linux-5.14.21-1/"+name), f.at(obj+"/"+name)))
	}
	f.write(obj+"/Makefile", []byte("export KBUILD_OUTPUT = /usr/src/linux-5.14.21-1-obj/x86_64/default\ninclude /usr/src/linux-5.14.21-1/Makefile\n"))
	f.link("/"+obj, "usr/lib/modules/{R}/build")
	f.link("/usr/src/linux-5.14.21-1", "usr/lib/modules/{R}/source")
}

// built arranges it as a kernel tree that was built, the modules of the
// headers packages' scripts and all.
func (f folder) built(rel string) {
	f.devel(rel)
	for _, name := range []string{"Kbuild", "Kconfig", "init/main.c"} {
		f.write(filepath.Join(rel, name), []byte("\n"))
	}
	f.link(f.kit.VMLinux, filepath.Join(rel, "vmlinux"))
	f.copy(f.kit.BZImage, filepath.Join(rel, treeBZImage))
	f.modules(rel, "")
}

// output arranges it as a folder that a tree was built into, its source link
// as written.
func (f folder) output(rel, source, link string) {
	f.built(rel)
	f.mkdir(source)
	for _, name := range []string{"scripts", "Kbuild", "Kconfig", "init"} {
		require.NoError(f, os.Rename(f.at(filepath.Join(rel, name)), f.at(filepath.Join(source, name))))
	}
	f.tree(f.at(filepath.Join(rel, "Makefile")), filepath.Join(source, "Makefile"))
	f.mkdir(filepath.Join(source, "arch/x86"))
	f.write(filepath.Join(rel, "Makefile"), []byte("# Automatically generated by Makefile: don't edit\ninclude "+link+"/Makefile\n"))
	f.link(link, filepath.Join(rel, "source"))
}
