// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// klpBuildVariable names a folder in which BenchmarkKLPBuild leaves what it
// made, modules and logs too, and goes on from there the next time; after an
// interruption klp-build may leave its tree changed, and it is to be removed. It
// needs 5 GB. Without one a temporary folder is used.
const klpBuildVariable = "SWITCHYARD_KLP_BUILD"

// klpBuildKernel is one whose source has scripts/livepatch/klp-build.
const klpBuildKernel = "7.3"

// klpBuildConfig is a kernel that can be live-patched and little more, with a
// module of two parts: what klp-build takes grows with the configuration, and
// this is as small as it gets.
const klpBuildConfig = `
CONFIG_64BIT=y
CONFIG_EXPERT=y
CONFIG_SMP=y
CONFIG_PRINTK=y
CONFIG_BUG=y
CONFIG_FUTEX=y
CONFIG_POSIX_TIMERS=y
CONFIG_PROC_FS=y
CONFIG_PROC_SYSCTL=y
CONFIG_JUMP_LABEL=y
CONFIG_CC_OPTIMIZE_FOR_PERFORMANCE=y
CONFIG_X86_KERNEL_IBT=y
CONFIG_MODULE_UNLOAD=y
CONFIG_BLOCK=y
CONFIG_FAT_FS=m
CONFIG_VFAT_FS=m
CONFIG_KLP_BUILD=y
CONFIG_LOCALVERSION="+klp-build"
`

// klpBuild is upstream's klp-build in a tree of its own.
type klpBuild struct {
	dir     string // of everything
	root    *toolroot.Root
	builder *patch.Builder
}

func (k *klpBuild) tree() string { return filepath.Join(k.dir, "linux") }

// newKLPBuild unpacks the source, whole, as klp-build builds in it, and
// configures it.
func newKLPBuild(b *testing.B) *klpBuild {
	shared, err := store.Open("")
	require.NoError(b, err)
	archive, err := debian.NewArchive(shared, nil)
	require.NoError(b, err)
	k := &klpBuild{dir: os.Getenv(klpBuildVariable)}
	if k.dir == "" {
		k.dir = b.TempDir()
	}
	k.root, err = toolroot.OpenKLPBuild(b.Context(), shared, archive)
	require.NoError(b, err)
	k.builder = &patch.Builder{Store: shared, Archive: archive, Root: func(ctx context.Context) (*toolroot.Root, error) { return toolroot.Open(ctx, shared, archive) }}
	if _, err := os.Stat(k.tree()); err != nil {
		k.unpack(b, archive)
	}
	if _, err := os.Stat(filepath.Join(k.tree(), ".config")); err != nil {
		k.configure(b)
	}
	return k
}

func (k *klpBuild) unpack(b *testing.B, archive *debian.Archive) {
	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive)}}
	found, err := catalogue.Select(b.Context(), klpBuildKernel)
	require.NoError(b, err)
	kit, err := catalogue.Get(b.Context(), found[0])
	require.NoError(b, err)
	pkg, err := archive.Source(b.Context(), kit)
	require.NoError(b, err)
	err = archive.Fetch(b.Context(), pkg.Name, []debian.Package{pkg}, func(_ debian.Package, file string) error {
		data, err := debian.OpenData(file)
		if err != nil {
			return err
		}
		defer data.Close()
		const script = "set -e -o pipefail; rm -rf linux.new; mkdir linux.new; xz -dc | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc | tar -x --no-same-owner --strip-components=1 -C linux.new; mv linux.new linux"
		return k.do(b, data, io.Discard, "/build", "bash", "-c", script)
	})
	require.NoError(b, err)
}

func (k *klpBuild) configure(b *testing.B) {
	text, err := os.ReadFile("../../kernels/source/fragments/livepatch.config")
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(k.dir, "klp-build.config"), append(text, klpBuildConfig...), 0o644))
	require.NoError(b, k.do(b, nil, io.Discard, "/build/linux", "make", "KCONFIG_ALLCONFIG=/build/klp-build.config", "allnoconfig"))
	config, err := os.ReadFile(filepath.Join(k.tree(), ".config"))
	require.NoError(b, err)
	require.Contains(b, string(config), "\nCONFIG_KLP_BUILD=y\n")
}

// do runs a command in the root, with everything at /build.
func (k *klpBuild) do(b *testing.B, in io.Reader, out io.Writer, dir string, argv ...string) error {
	var said bytes.Buffer
	err := k.root.Run(b.Context(), toolroot.Job{
		Argv: argv, Dir: dir, Stdin: in, Stdout: out, Stderr: io.MultiWriter(out, &said),
		Mounts: []toolroot.Bind{{Host: k.dir, Inside: "/build", Writable: true}},
	})
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%w: %s", err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	return nil
}

// from is the step that klp-build has to begin with: the first for the first
// diff, and not again for those that follow.
func (k *klpBuild) from() string {
	if _, err := os.Stat(filepath.Join(k.tree(), "klp-tmp/1-orig/.complete")); err != nil {
		return "orig"
	}
	return "patched"
}

// run makes a module of a diff by klp-build, from a step on, and says what it
// took.
func (k *klpBuild) run(b *testing.B, diff, from string) (module string, cpu float64, wall time.Duration) {
	out := strings.TrimSuffix(filepath.Base(diff), ".patch")
	text, err := os.ReadFile(diff)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(k.dir, out+".patch"), text, 0o644))
	log, err := os.Create(filepath.Join(k.dir, out+".log"))
	require.NoError(b, err)
	defer log.Close()
	argv := []string{"scripts/livepatch/klp-build", "--keep-tmp", "--verbose", "--jobs=2", "--no-replace", "-o", "/build/" + out + ".ko"}
	if from != "orig" {
		argv = append(argv, "--short-circuit="+from)
	}
	before, began := cpuSeconds(b), time.Now()
	err = k.do(b, nil, log, "/build/linux", append(argv, "/build/"+out+".patch")...)
	require.NoError(b, err, "klp-build of %s", out)
	return filepath.Join(k.dir, out+".ko"), cpuSeconds(b) - before, time.Since(began)
}

// kit is the kernel as klp-build built it, before any patch. Its modules are
// installed by the first call, while they are the original ones.
func (k *klpBuild) kit(b *testing.B) *kernels.Kit {
	modules := filepath.Join(k.dir, "installed/lib/modules")
	if _, err := os.Stat(modules); err != nil {
		require.NoError(b, k.do(b, nil, io.Discard, "/build/linux", "make", "modules_install", "INSTALL_MOD_PATH=/build/installed"))
	}
	release, err := os.ReadFile(filepath.Join(k.tree(), "include/config/kernel.release"))
	require.NoError(b, err)
	name := strings.TrimSpace(string(release))
	// klp-build calls the compiler gcc; with its version it is known here.
	config, err := os.ReadFile(filepath.Join(k.tree(), ".config"))
	require.NoError(b, err)
	file := filepath.Join(k.dir, "config")
	require.NoError(b, os.WriteFile(file, bytes.Replace(config, []byte(`"gcc (Debian`), []byte(`"gcc-14 (Debian`), 1), 0o644))
	return &kernels.Kit{
		Release: name, Version: name, Source: "source:" + k.tree(), Flavour: kernels.SourceFlavour, Dir: k.dir,
		VMLinux: filepath.Join(k.tree(), "klp-tmp/1-orig/vmlinux"), ConfigFile: file,
		ModulesDir: filepath.Join(modules, name), SourceDir: k.tree(), BuildDir: k.tree(), HeadersDir: "/usr/src/build",
		Mounts: []kernels.Mount{{Host: k.tree(), Inside: "/usr/src/linux"}, {Host: k.tree(), Inside: "/usr/src/build"}},
	}
}

// ours makes the module of a diff by our builder, with nothing cached of this
// kernel before the first call.
func (k *klpBuild) ours(b *testing.B, diff string) (m *patch.Module, cpu float64, wall time.Duration) {
	kit := k.kit(b)
	before, began := cpuSeconds(b), time.Now()
	m, err := build(b, k.builder, diff, kit)
	require.NoError(b, err)
	return m, cpuSeconds(b) - before, time.Since(began)
}

// carried is what a livepatch module has that the kernel's livepatch looks at.
type carried struct {
	symbols []string // OBJECT.NAME,SYMPOS
	tables  map[string]int
}

func carriedBy(b *testing.B, path string) carried {
	o, err := object.Open(path)
	require.NoError(b, err)
	c := carried{tables: map[string]int{}}
	for _, s := range o.Symbols {
		if name, ok := strings.CutPrefix(s.Name, ".klp.sym."); ok {
			c.symbols = append(c.symbols, name)
		}
	}
	for _, t := range o.Tables {
		c.tables[t.Name] = len(t.Relocs)
	}
	slices.Sort(c.symbols)
	return c
}

// changedByUpstream are the functions that klp-build's log names.
func (k *klpBuild) changedByUpstream(b *testing.B, diff string) (names []string) {
	text, err := os.ReadFile(filepath.Join(k.dir, strings.TrimSuffix(filepath.Base(diff), ".patch")+".log"))
	require.NoError(b, err)
	for _, m := range changedFunction.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1]+":"+m[2])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func changedByUs(m *patch.Module) (names []string) {
	for _, f := range m.Manifest.Diff.Functions {
		if f.Patched {
			names = append(names, f.Object+":"+f.Name)
		}
	}
	slices.Sort(names)
	return names
}

var changedFunction = regexp.MustCompile(`(?m)(\w+)\.o: changed function: (\S+)`)

// BenchmarkKLPBuild takes the same diffs to modules for the same kernel by
// upstream's klp-build and by us, and shows what either took and made.
func BenchmarkKLPBuild(b *testing.B) {
	k := newKLPBuild(b)
	own, err := store.Open(b.TempDir())
	require.NoError(b, err)
	k.builder.Store = own
	for _, diff := range []string{
		filepath.Join(diffs, "fs-cmdline.patch"), filepath.Join(diffs, "fs-percpu.patch"), filepath.Join(diffs, "fs-global-data.patch"),
		filepath.Join(diffs, "kernel-execdomains.patch"), filepath.Join(diffs, "mm-vmstat.patch"), "testdata/vfat.patch",
	} {
		b.Run(strings.TrimSuffix(filepath.Base(diff), ".patch"), func(b *testing.B) {
			from := k.from()
			upstream, theirCPU, theirWall := k.run(b, diff, from)
			mine, ourCPU, ourWall := k.ours(b, diff)
			b.Logf("klp-build from %s on: %.1f CPU s, %.0f s; ours: %.1f CPU s, %.0f s", from, theirCPU, theirWall.Seconds(), ourCPU, ourWall.Seconds())
			b.Logf("changed: klp-build %v, ours %v", k.changedByUpstream(b, diff), changedByUs(mine))
			b.Logf("klp-build %+v", carriedBy(b, upstream))
			b.Logf("ours %+v", carriedBy(b, mine.Path))
		})
	}
}
