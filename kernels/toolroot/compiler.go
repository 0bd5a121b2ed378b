// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
)

// Compiler is a C compiler that runs in the tool root.
type Compiler struct {
	// CC is the program, as a name or a path inside the root.
	CC string
	// Name says which it is: "gcc-12 12.2.0-14+deb12u1". What was compiled
	// with another one may differ.
	Name string
	// Flags are for every run of it, behind its name.
	Flags []string
	// Mounts and Env are what a Job that runs it needs beside its own.
	Mounts []Bind
	Env    []string
}

// compilerText is what a kernel's CONFIG_CC_VERSION_TEXT says of a compiler of
// Debian's: "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0".
var compilerText = regexp.MustCompile(`gcc-(\d+) \(Debian ([^)]+)\)`)

// Compiler gives the compiler that the kernel of a kit was compiled with. Where
// only the bytes decide whether a source is the kernel's, another version of
// the same compiler will not do. The root's own is used if it is that; else it
// is fetched, once, and stands beside the root. Errors: *kernels.Lacking.
func (r *Root) Compiler(ctx context.Context, kit *kernels.Kit) (*Compiler, error) {
	text := kit.ConfigValue("CONFIG_CC_VERSION_TEXT")
	said := compilerText.FindStringSubmatch(text)
	if said == nil {
		return nil, &kernels.Lacking{
			What:   fmt.Sprintf("the compiler of kernel %s, which is %s", kit.Release, text),
			Remedy: "choose a kernel that Debian or switchyard built",
		}
	}
	series, version := said[1], said[2]
	cc := &Compiler{CC: "gcc-" + series, Name: "gcc-" + series + " " + version}
	own, err := r.own(series, version)
	if err != nil {
		return nil, err
	}
	if !own {
		at, mount, err := r.beside(ctx, kit, "gcc-"+series+" "+version, func(ctx context.Context) ([]debian.Package, error) {
			return r.archive.Compiler(ctx, kit, series, version)
		})
		if err != nil {
			return nil, err
		}
		cc.CC, cc.Mounts = at+"/usr/bin/x86_64-linux-gnu-gcc-"+series, append(cc.Mounts, mount)
	}
	as := assemblerVersion(kit.ConfigValue("CONFIG_AS_VERSION"))
	if newer, err := r.newerAssembler(as); err != nil || !newer {
		return cc, err
	}
	at, mount, err := r.beside(ctx, kit, "as "+as, func(ctx context.Context) ([]debian.Package, error) { return r.archive.Assembler(ctx, kit) })
	if err != nil {
		return nil, err
	}
	cc.Name += ", as " + as
	cc.Flags = append(cc.Flags, "-B"+at+"/usr/bin/x86_64-linux-gnu-")
	cc.Env = append(cc.Env, "LD_LIBRARY_PATH="+at+"/usr/lib/x86_64-linux-gnu")
	cc.Mounts = append(cc.Mounts, mount)
	return cc, nil
}

// beside extracts packages, once, into a folder of their own, and says how they
// come into the root: not over it, since its own programs are needed too. Their
// libraries are the root's but for those that come with them.
func (r *Root) beside(ctx context.Context, kit *kernels.Kit, what string, packages func(context.Context) ([]debian.Package, error)) (at string, mount Bind, err error) {
	name := strings.ReplaceAll(what, " ", "-")
	dir, err := r.store.Make(ctx, kind, name, func(ctx context.Context, dir string) error {
		all, err := packages(ctx)
		if err != nil {
			return err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer root.Close()
		return r.archive.Fetch(ctx, "compiler "+what, all, func(_ debian.Package, file string) error {
			return debian.Unpack(file, root, place)
		})
	})
	var gone *debian.Gone
	if errors.As(err, &gone) {
		err = &kernels.Lacking{
			What:   fmt.Sprintf("%s, with which kernel %s was compiled", what, kit.Release),
			Remedy: "take a newer kernel of that series, which `switchyard kernels list` shows",
			Err:    gone,
		}
	}
	return "/opt/" + name, Bind{Host: dir, Inside: "/opt/" + name}, err
}

// assemblerVersion reads CONFIG_AS_VERSION: 24750 is 2.47.50.
func assemblerVersion(value string) string {
	n, err := strconv.Atoi(value)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100)
}

// newerAssembler says whether the assembler of a version orders its no-ops
// otherwise than the root's. Up to 2.44 all do it alike: with that of trixie,
// code for Debian's 5.10 (2.35.2) and 6.1 (2.40) comes out to the byte.
func (r *Root) newerAssembler(version string) (bool, error) {
	// The library of assembler and linker has their version in its name.
	found, err := filepath.Glob(filepath.Join(r.Dir, "usr/lib/x86_64-linux-gnu/libbfd-*-system.so"))
	if err != nil || len(found) != 1 || version == "" {
		return false, err
	}
	own := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "libbfd-"), "-system.so")
	return kernels.CompareVersions(version, own+".99") > 0, nil
}

// own says whether the root has this version itself: the driver holds its
// version as text.
func (r *Root) own(series, version string) (bool, error) {
	driver, err := os.ReadFile(filepath.Join(r.Dir, "usr/bin/x86_64-linux-gnu-gcc-"+series))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return bytes.Contains(driver, []byte("(Debian "+version+")")), err
}
