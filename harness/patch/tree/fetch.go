// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// sourceKind is the kind of cache entries that unpacked sources of Debian's are.
const sourceKind = "linux-source"

// never are the parts of a source that no object of an x86 kernel is made from,
// as patterns of tar's. Of tools and samples what the kernel's own tests of
// live patching need stays.
var never = []string{
	"Documentation", "LICENSES", "arch/[!x]*", "arch/xtensa", "rust",
	"tools/perf", "tools/bpf", "tools/power", "tools/testing/[!s]*", "tools/testing/selftests/[!lk]*", "tools/testing/selftests/kvm",
}

// leftOut is a folder that only kernels with one of some options are built from.
type leftOut struct {
	folder  string
	options []string // without CONFIG_
}

// optional are the large folders that some kernels have nothing of.
//
// Source: the Makefiles of the folders above them in 5.10 to 7.3, and which of
// their headers anything outside includes.
var optional = []leftOut{
	{"drivers/gpu/drm/amd", []string{"DRM_AMDGPU"}},
	{"drivers/gpu/drm/i915", []string{"DRM_I915", "DRM_XE"}},
	{"drivers/gpu/drm/xe", []string{"DRM_XE"}},
	{"drivers/gpu/drm/nouveau", []string{"DRM_NOUVEAU"}},
	{"drivers/gpu/drm/radeon", []string{"DRM_RADEON"}},
	{"drivers/gpu/drm/msm", []string{"DRM_MSM"}},
	{"drivers/net/wireless", []string{"WLAN"}},
	{"drivers/comedi", []string{"COMEDI"}},
	{"drivers/iio", []string{"IIO"}},
	{"sound", []string{"SOUND"}},
}

// unpackers are the programs for what dpkg packs data with.
var unpackers = map[string]string{"": "cat", ".gz": "gzip -dc", ".xz": "xz -dc", ".zst": "zstd -dc"}

// fetch unpacks the source of a kernel of Debian's into the cache, or finds it
// there.
func (t *Tree) fetch(ctx context.Context) error {
	h := sha256.New()
	fmt.Fprintln(h, never)
	for _, o := range optional {
		if !t.has(o.options) {
			t.out = append(t.out, o)
			fmt.Fprintln(h, o.folder)
		}
	}
	name := t.Kit.Version + "-" + hex.EncodeToString(h.Sum(nil)[:4])
	// Entries come into being whole, by a rename. To compare the times of
	// fifty thousand files each time would take longer than compiling one.
	t.dir = t.deps.Store.Path(sourceKind, name)
	if _, err := os.Stat(filepath.Join(t.dir, "Makefile")); err == nil {
		t.deps.Store.Used(sourceKind, name)
		return nil
	}
	_, err := t.deps.Store.Make(ctx, sourceKind, name, t.unpack)
	var gone *debian.Gone
	if errors.As(err, &gone) {
		return &kernels.Lacking{
			What:   fmt.Sprintf("the source of kernel %s %s", t.Kit.Release, t.Kit.Version),
			Remedy: "take the newest kernel of that series (`switchyard kernels list`), whose source the archive has",
			Err:    gone,
		}
	}
	return err
}

// has says whether any of the options is set.
func (t *Tree) has(options []string) bool {
	for _, o := range options {
		if v := t.config[o]; v == "y" || v == "m" {
			return true
		}
	}
	return false
}

// unpack fetches the package and lets the tool root's tar and xz take it apart,
// several times as fast as packages of Go are. What comes out can be written
// nowhere but into dir: nothing else in there is writable.
func (t *Tree) unpack(ctx context.Context, dir string) error {
	pkg, err := t.deps.Archive.Source(ctx, t.Kit)
	if err != nil {
		return err
	}
	root, err := t.deps.Root(ctx)
	if err != nil {
		return err
	}
	return t.deps.Archive.Fetch(ctx, "source of kernel "+t.Kit.Release, []debian.Package{pkg}, func(_ debian.Package, file string) error {
		data, err := debian.OpenData(file)
		if err != nil {
			return err
		}
		defer data.Close()
		outer, ok := unpackers[data.Suffix]
		if !ok {
			return fmt.Errorf("data packed as %q is not known here", data.Suffix)
		}
		top := pkg.Name // linux-source-6.1, and the folder in the inner archive too
		var exclude []string
		for _, p := range never {
			exclude = append(exclude, "'--exclude="+top+"/"+p+"'")
		}
		for _, o := range t.out {
			exclude = append(exclude, "--exclude="+top+"/"+o.folder)
		}
		script := fmt.Sprintf("set -e -o pipefail\n%s | tar -xO ./usr/src/%s.tar.xz | xz -dc | tar -x --no-same-owner --strip-components=1 --anchored --wildcards %s -C /out", outer, top, strings.Join(exclude, " "))
		var said toolroot.Log
		err = root.Run(ctx, toolroot.Job{
			Argv:   []string{"bash", "-c", script},
			Mounts: []toolroot.Bind{{Host: dir, Inside: "/out", Writable: true}},
			Stdin:  &counter{r: data, told: func(n int64) { t.tell(n, data.Size) }}, Stdout: &said, Stderr: &said,
		})
		if err != nil {
			return fmt.Errorf("unpack: %w: %s", err, toolroot.LastWords(said.String()))
		}
		if _, err := os.Stat(filepath.Join(dir, "Makefile")); err != nil {
			return fmt.Errorf("%s holds no kernel source: %w", top, err)
		}
		return nil
	})
}

func (t *Tree) tell(done, total int64) {
	if t.deps.Progress != nil {
		t.deps.Progress("unpacking the source of kernel "+t.Kit.Release, done, total)
	}
}

// counter tells how much was read of r.
type counter struct {
	r    io.Reader
	n    int64
	told func(n int64)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.told(c.n)
	return n, err
}

// notUnpacked says why a file is not there: its folder is one that nothing of
// this kernel is built from.
func (t *Tree) notUnpacked(name string) error {
	for _, o := range t.out {
		if name == o.folder || strings.HasPrefix(name, o.folder+"/") {
			return &refusal.Refusal{
				Code: refusal.NotBuilt, File: name, Release: t.Kit.Release,
				Text:   "nothing of this kernel is built from it: " + optionsText(o.options) + " in its configuration",
				Advice: "leave the file out of the diff, or choose a kernel that has it",
			}
		}
	}
	folders := strings.SplitN(name, "/", 3)
	foreign := folders[0] == "arch" && len(folders) > 2 && folders[1] != "x86"
	if t.Kit.SourceDir == "" && (foreign || slices.Contains(never, folders[0])) {
		return &refusal.Refusal{
			Code: refusal.NotCode, File: name, Release: t.Kit.Release,
			Text: "nothing of an x86 kernel is built from it", Advice: "leave the file out of the diff",
		}
	}
	return nil
}

// optionsText says that options are not set.
func optionsText(options []string) string {
	text := "CONFIG_" + strings.Join(options, ", CONFIG_")
	if len(options) == 1 {
		return text + " is not set"
	}
	return "none of " + text + " is set"
}
