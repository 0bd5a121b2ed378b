// SPDX-License-Identifier: Apache-2.0

// Package tree is the source that a kernel was built from, and the compiling
// of single files of it as that kernel's build did: which objects a source
// file goes into, by which flags, and what the compiler makes of it with some
// files changed.
//
// What lives here: finding and unpacking sources, asking kbuild for flags,
// running the compiler on an overlay of changed files. What must not: reading
// diffs, looking into objects, and any idea of a live patch.
package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Deps is what trees are made with.
type Deps struct {
	Store *store.Store
	// Archive has the sources of Debian's kernels.
	Archive *debian.Archive
	// Root opens the tool root; it is called only when something must be
	// unpacked or compiled.
	Root func(context.Context) (*toolroot.Root, error)
	// Progress, if set, hears of unpacking.
	Progress kernels.Progress
}

// Tree is the source of one kernel. Its methods may be called from several
// goroutines.
type Tree struct {
	Kit *kernels.Kit

	deps   Deps
	dir    string // the source on the host; read-only
	config map[string]string
	out    []leftOut // folders that are not unpacked
	id     string    // of kernel and source, for the cache

	mu       sync.Mutex
	compiler *toolroot.Compiler
}

// Open gives the source of a kit, fetching and unpacking it the first time.
// Errors: *kernels.Lacking for a kernel whose source is not to be had.
func Open(ctx context.Context, deps Deps, kit *kernels.Kit) (*Tree, error) {
	t := &Tree{Kit: kit, deps: deps}
	if kit.HeadersDir == "" {
		return nil, t.lacking("its headers and its source are not in the archive", nil)
	}
	if kit.ConfigFile == "" || kit.ConfigDeduced {
		return nil, t.lacking("its configuration is not known", nil)
	}
	var err error
	if t.config, err = readConfig(kit.ConfigFile); err != nil {
		return nil, fmt.Errorf("config of kernel %s: %w", kit.Release, err)
	}
	switch provider, _, _ := strings.Cut(kit.Source, ":"); {
	case kit.SourceDir != "":
		t.dir = kit.SourceDir
		if _, err := os.Stat(filepath.Join(t.dir, "Makefile")); err != nil {
			return nil, t.lacking("the copy of its source is gone from the cache", err)
		}
	case provider == debian.ProviderName:
		if err := t.fetch(ctx); err != nil {
			return nil, err
		}
	default:
		return nil, t.lacking("it comes from files at hand, of which none is its source", nil)
	}
	t.id = kit.Release + " " + kit.Version + " " + filepath.Base(t.dir)
	return t, nil
}

func (t *Tree) lacking(why string, err error) error {
	return &kernels.Lacking{
		What:   fmt.Sprintf("the source of kernel %s: %s", t.Kit.Release, why),
		Remedy: "choose a kernel with source (`switchyard kernels list`), or build one with `switchyard kernels build`",
		Err:    err,
	}
}

// ID names kernel and source: what was made of a diff for one tree is right for
// every tree of that ID, and for no other.
func (t *Tree) ID() string { return t.id }

// Read gives a file of the source; name is its path from the top, with
// slashes. Errors: fs.ErrNotExist; *refusal.Refusal for a file in a folder that
// this kernel's configuration leaves out whole.
func (t *Tree) Read(name string) ([]byte, error) {
	file, err := t.Path(name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// Path is where a file or folder of the source lies on the host. Nobody may
// change it. Errors as of Read, but that it need not exist.
func (t *Tree) Path(name string) (string, error) {
	clean := path.Clean(name)
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("%q is not a path in a source tree: %w", name, fs.ErrNotExist)
	}
	if r := t.notUnpacked(clean); r != nil {
		return "", r
	}
	return filepath.Join(t.dir, filepath.FromSlash(clean)), nil
}

// Extract gives the folder or file of that name on the host, for somebody who
// needs a part of the source whole, such as the kernel's own tests. Nobody may
// change it. Errors: fs.ErrNotExist.
func (t *Tree) Extract(ctx context.Context, name string) (string, error) {
	file, err := t.Path(name)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("the source of kernel %s has no %s: %w", t.Kit.Release, name, fs.ErrNotExist)
		}
		return "", err
	}
	return file, ctx.Err()
}

// readConfig gives the options that are set, by name without CONFIG_.
func readConfig(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	options := map[string]string{}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "CONFIG_")
		if name, value, is := strings.Cut(rest, "="); ok && is {
			options[name] = strings.Trim(value, `"`)
		}
	}
	return options, nil
}
