// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// ProviderName is the first part of the Source of each kit from here.
const ProviderName = "debian"

// kitKind is the kind of cache entries that kits are.
const kitKind = "kernels"

// Provider makes kits of the kernels in a Debian archive.
type Provider struct{ archive *Archive }

// NewProvider is the provider of a's kernels.
func NewProvider(a *Archive) *Provider { return &Provider{a} }

var (
	_ kernels.Provider = (*Provider)(nil)
	_ kernels.Keeper   = (*Provider)(nil)
	_ kernels.Stepwise = (*Provider)(nil)
)

// Name is "debian".
func (p *Provider) Name() string { return ProviderName }

// AtHand lists the kits in the cache, without the network.
func (p *Provider) AtHand(context.Context) ([]kernels.Candidate, error) {
	var all []kernels.Candidate
	files, err := filepath.Glob(filepath.Join(p.archive.Store.Dir, kitKind, "*", kernels.KitFile))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		kit, err := kernels.ReadKitFile(filepath.Dir(file))
		if err != nil {
			continue // half a kit is none
		}
		provider, suite, _ := strings.Cut(kit.Source, ":")
		if provider != ProviderName {
			continue
		}
		set := kernelSet{suites: p.archive.Suites}
		all = append(all, kernels.Candidate{
			Release: kit.Release, Version: kit.Version, Source: kit.Source, Flavour: kit.Flavour,
			Cached: true, Dir: kit.Dir, HasHeaders: kit.HeadersDir != "", Provider: ProviderName,
			Native: set.native(Package{Version: kit.Version, Suite: suite}),
		})
	}
	return all, nil
}

// List lists the kernels of all suites and those in the cache.
func (p *Provider) List(ctx context.Context) ([]kernels.Candidate, error) {
	return p.listWithin(ctx, farthest(p.archive.Suites))
}

// ListUntil lists the kernels of ever farther suites, and those in the cache,
// until they are enough.
func (p *Provider) ListUntil(ctx context.Context, enough func([]kernels.Candidate) bool) ([]kernels.Candidate, error) {
	for distance := 0; ; distance++ {
		all, err := p.listWithin(ctx, distance)
		if err != nil || distance >= farthest(p.archive.Suites) || enough(all) {
			return all, err
		}
	}
}

func (p *Provider) listWithin(ctx context.Context, distance int) ([]kernels.Candidate, error) {
	all, err := p.AtHand(ctx)
	if err != nil {
		return nil, err
	}
	indexes, err := p.archive.indexes(ctx, within(distance))
	cached := map[[2]string]bool{}
	for _, c := range all {
		cached[[2]string{c.Release, c.Version}] = true
	}
	for _, c := range newKernelSet(p.archive.Suites, indexes).candidates() {
		c.Cached = cached[[2]string{c.Release, c.Version}]
		all = append(all, c)
	}
	return all, err
}

// Get gives the kit of c, from the cache or else from the archive.
func (p *Provider) Get(ctx context.Context, c kernels.Candidate) (*kernels.Kit, error) {
	name := c.Release + "_" + c.Version
	dir, err := p.archive.Store.Make(ctx, kitKind, name, func(ctx context.Context, dir string) error {
		return p.fill(ctx, c, dir)
	})
	if err != nil {
		return nil, fmt.Errorf("get kernel %s: %w", c.Release, err)
	}
	return kernels.ReadKitFile(dir)
}

// distance is that of the suite a candidate is from.
func (p *Provider) distance(c kernels.Candidate) int {
	for _, s := range p.archive.Suites {
		if ProviderName+":"+s.Name == c.Source {
			return s.Distance
		}
	}
	return farthest(p.archive.Suites)
}

// fill fetches the packages of a kit and puts their files into dir.
func (p *Provider) fill(ctx context.Context, c kernels.Candidate, dir string) error {
	indexes, listErr := p.archive.indexes(ctx, within(p.distance(c)))
	set := newKernelSet(p.archive.Suites, indexes)
	image, ok := set.find(c)
	if !ok && listErr != nil {
		return listErr
	}
	if !ok {
		return fmt.Errorf("the archive has no version %s of it (any more); `switchyard kernels list` shows what there is", c.Version)
	}
	packages, headers := set.parts(image, c.Release)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	err = p.archive.Fetch(ctx, "kernel "+c.Release, packages, func(_ Package, file string) error {
		return Unpack(file, root, kitPlace(c.Release))
	})
	if err != nil {
		return err
	}
	kit := &kernels.Kit{
		Release: c.Release, Version: c.Version, Source: ProviderName + ":" + image.Suite, Flavour: c.Flavour, Dir: dir,
		VMLinux: filepath.Join(dir, "vmlinux"), BZImage: filepath.Join(dir, "vmlinuz"),
		ConfigFile: filepath.Join(dir, "config"), SystemMap: filepath.Join(dir, "System.map"),
		ModulesDir: filepath.Join(dir, "lib/modules", c.Release),
	}
	if headers {
		kit.HeadersDir = "/usr/src/linux-headers-" + c.Release
		if kit.Mounts, err = kitMounts(dir); err != nil {
			return err
		}
	}
	// Debian's System.map is one line that says where the real one is.
	for file, least := range map[*string]int64{&kit.ConfigFile: 1, &kit.SystemMap: 4096} {
		if info, err := os.Stat(*file); err != nil || info.Size() < least {
			*file = ""
		}
	}
	freeMemory() // xz's dictionary, before zstd's
	if err := kernels.ExtractVMLinux(kit.BZImage, kit.VMLinux); err != nil {
		return err
	}
	freeMemory()
	// From 6.19 on the config is in a package of its own, and of kernels that
	// were superseded the archive may keep the image alone.
	if err := kit.FillFromImage(); err != nil {
		return err
	}
	return kernels.WriteKitFile(kit)
}

// kitPlace says where in a kit's folder the files of its packages go.
func kitPlace(release string) Place {
	// Where the image's own files are: in /boot, from 6.19 on beside the
	// modules.
	files := map[string]string{}
	for _, name := range []string{"vmlinuz", "config", "System.map"} {
		files["boot/"+name+"-"+release] = name
		files["usr/lib/modules/"+release+"/"+name] = name
	}
	return func(name string) (string, bool) {
		if to, ok := files[name]; ok {
			return to, true
		}
		// lib is usr/lib, and was the place until bookworm.
		if rest, ok := strings.CutPrefix(name, "usr/lib/modules/"); ok {
			return "lib/modules/" + rest, true
		}
		// Headers come for all architectures, three thousand files of them.
		if _, rest, ok := strings.Cut(name, "-common/arch/"); ok && strings.HasPrefix(name, "usr/src/") {
			arch, _, inside := strings.Cut(rest, "/")
			return name, !inside || arch == "x86"
		}
		for _, prefix := range []string{"lib/modules/", "usr/src/", "usr/lib/linux-kbuild-"} {
			if strings.HasPrefix(name, prefix) {
				return name, true
			}
		}
		return "", false
	}
}

// kitMounts are the folders that the headers' Makefiles and links name by
// absolute or ../../lib paths.
func kitMounts(dir string) ([]kernels.Mount, error) {
	mounts := []kernels.Mount{{Host: filepath.Join(dir, "usr/src"), Inside: "/usr/src"}}
	kbuild, err := filepath.Glob(filepath.Join(dir, "usr/lib/linux-kbuild-*"))
	if err != nil {
		return nil, err
	}
	for _, path := range kbuild {
		mounts = append(mounts, kernels.Mount{Host: path, Inside: "/usr/lib/" + filepath.Base(path)})
	}
	return mounts, nil
}
