// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/source"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// klpBuildVariable names a folder in which BenchmarkKLPBuild leaves what it
// made, modules and logs too, and goes on from there the next time. It needs
// 8 GB. Without one a temporary folder is used.
const klpBuildVariable = "SWITCHYARD_KLP_BUILD"

// klpBuildKernel is one whose source has scripts/livepatch/klp-build.
const klpBuildKernel = "7.3"

// klpBuild is upstream's klp-build in a tree of its own, and our builder for a
// kernel of the same source and configuration.
type klpBuild struct {
	dir     string // of everything
	root    *toolroot.Root
	kit     *kernels.Kit // made from the tree, in the ordinary way
	builder *patch.Builder
}

func (k *klpBuild) tree() string { return filepath.Join(k.dir, "linux") }

// newKLPBuild unpacks the source, whole, as klp-build builds in it, and builds
// a kernel of it in our small configuration.
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
	ours := func(ctx context.Context) (*toolroot.Root, error) { return toolroot.Open(ctx, shared, archive) }
	k.builder = &patch.Builder{Store: shared, Archive: archive, Root: ours}

	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive)}}
	found, err := catalogue.Select(b.Context(), klpBuildKernel)
	require.NoError(b, err)
	shipped, err := catalogue.Get(b.Context(), found[0])
	require.NoError(b, err)
	if _, err := os.Stat(k.tree()); err != nil {
		k.unpack(b, archive, shipped)
	}
	fragment := filepath.Join(k.dir, "klp-build.config")
	require.NoError(b, os.WriteFile(fragment, []byte("CONFIG_KLP_BUILD=y\n"), 0o644))
	from := &source.Provider{Store: shared, Root: ours, Jobs: 2}
	k.kit, err = from.Build(b.Context(), source.Spec{Tree: filepath.Join(k.dir, "pristine"), Fragments: []string{"modules", fragment}, Label: "klp-build"})
	require.NoError(b, err)
	return k
}

// unpack puts the kernel's source into two folders: klp-build changes its own.
func (k *klpBuild) unpack(b *testing.B, archive *debian.Archive, kit *kernels.Kit) {
	pkg, err := archive.Source(b.Context(), kit)
	require.NoError(b, err)
	err = archive.Fetch(b.Context(), pkg.Name, []debian.Package{pkg}, func(_ debian.Package, file string) error {
		data, err := debian.OpenData(file)
		if err != nil {
			return err
		}
		defer data.Close()
		var said bytes.Buffer
		const script = "set -e -o pipefail; mkdir pristine linux.new; tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc | tar -x --no-same-owner --strip-components=1 -C pristine; cp -a pristine/. linux.new; mv linux.new linux"
		err = k.root.Run(b.Context(), toolroot.Job{
			Argv: []string{"bash", "-c", "xz -dc | (" + script + ")"}, Dir: "/build", Stdin: data, Stdout: &said, Stderr: &said,
			Mounts: []toolroot.Bind{{Host: k.dir, Inside: "/build", Writable: true}},
		})
		if err != nil {
			return fmt.Errorf("%w: %s", err, said.String())
		}
		return nil
	})
	require.NoError(b, err)
}

// run makes a module of a diff by klp-build, from a step on ("orig" is the
// first), and says what it took.
func (k *klpBuild) run(b *testing.B, diff, from string) (cpu float64, wall time.Duration) {
	out := strings.TrimSuffix(filepath.Base(diff), ".patch")
	text, err := os.ReadFile(diff)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(filepath.Join(k.dir, out+".patch"), text, 0o644))
	log, err := os.Create(filepath.Join(k.dir, out+".log"))
	require.NoError(b, err)
	defer log.Close()
	before, began := cpuSeconds(b), time.Now()
	err = k.root.Run(b.Context(), toolroot.Job{
		Argv: []string{"scripts/livepatch/klp-build", "-T", "-v", "-j2", "-S", from, "--no-replace", "-o", "/build/" + out + ".ko", "/build/" + out + ".patch"},
		Dir:  "/build/linux", Stdout: log, Stderr: log,
		Mounts: []toolroot.Bind{{Host: k.dir, Inside: "/build", Writable: true}},
	})
	said, _ := exec.Command("tail", "-n", "20", log.Name()).CombinedOutput()
	require.NoError(b, err, "klp-build of %s: %s", out, said)
	return cpuSeconds(b) - before, time.Since(began)
}

// BenchmarkKLPBuild takes the same diffs to modules for the same kernel by
// upstream's klp-build and by us.
func BenchmarkKLPBuild(b *testing.B) {
	k := newKLPBuild(b)
	b.Log(k.kit.Release)
}
