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
	// Mounts are what a Job that runs it needs beside its own.
	Mounts []Bind
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
	if own, err := r.own(series, version); own || err != nil {
		return &Compiler{CC: "gcc-" + series, Name: "gcc-" + series + " " + version}, err
	}
	name := "gcc-" + series + "-" + version
	at := "/opt/" + name
	dir, err := r.store.Make(ctx, kind, name, func(ctx context.Context, dir string) error {
		return r.fetchCompiler(ctx, kit, series, version, dir)
	})
	if err != nil {
		var gone *debian.Gone
		if errors.As(err, &gone) {
			err = &kernels.Lacking{
				What:   fmt.Sprintf("gcc-%s %s, the compiler of kernel %s", series, version, kit.Release),
				Remedy: "take a newer kernel of that series, which `switchyard kernels list` shows",
				Err:    gone,
			}
		}
		return nil, err
	}
	return &Compiler{
		CC: at + "/usr/bin/x86_64-linux-gnu-gcc-" + series, Name: "gcc-" + series + " " + version,
		Mounts: []Bind{{Host: dir, Inside: at}},
	}, nil
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

// fetchCompiler extracts a compiler into dir. Its libraries are the root's, and
// so are assembler and linker; gcc finds its own parts from where it stands.
func (r *Root) fetchCompiler(ctx context.Context, kit *kernels.Kit, series, version, dir string) error {
	packages, err := r.archive.Compiler(ctx, kit, series, version)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return r.archive.Fetch(ctx, "compiler gcc-"+series+" "+version, packages, func(_ debian.Package, file string) error {
		return debian.Unpack(file, root, place)
	})
}
