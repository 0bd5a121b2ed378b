// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// kind is the kind of cache entries that the parts of the tool root are.
const kind = "toolroot"

// Root is the tool root. Its methods may be called from several goroutines.
type Root struct {
	// Dir is the folder of the extracted root. It belongs to the cache;
	// nobody may change it.
	Dir string
	// Name is the name of the cache entry, which changes when the packages
	// in it do: whatever is built with the root depends on it.
	Name string

	store   *store.Store
	archive *debian.Archive

	mu      sync.Mutex
	entry   entry // the way in, once found
	noEntry error
	qemu    *Root // the part with QEMU, once opened
}

// Open gives the part of the tool root that builds things, fetching and
// extracting it once. What is in the cache already is used without asking the
// archive. Errors: *kernels.Lacking without a network.
func Open(ctx context.Context, st *store.Store, ar *debian.Archive) (*Root, error) {
	return open(ctx, st, ar, buildPart)
}

// OpenQEMU gives the part of the tool root that holds QEMU and nothing else,
// for FindQEMU. Run does not work in it.
func OpenQEMU(ctx context.Context, st *store.Store, ar *debian.Archive) (*Root, error) {
	r, err := open(ctx, st, ar, qemuPart)
	if err != nil {
		return nil, err
	}
	r.qemu = r
	return r, nil
}

// OpenUserland gives the part of the tool root that holds the programs for a
// guest whose scripts are not ours. Run does not work in it.
func OpenUserland(ctx context.Context, st *store.Store, ar *debian.Archive) (*Root, error) {
	return open(ctx, st, ar, userlandPart)
}

func open(ctx context.Context, st *store.Store, ar *debian.Archive, part recipe) (*Root, error) {
	r, err := openOnce(ctx, st, ar, part)
	var superseded *debian.Superseded
	if errors.As(err, &superseded) { // there are newer packages now, which is another root
		return openOnce(ctx, st, ar, part)
	}
	return r, err
}

func openOnce(ctx context.Context, st *store.Store, ar *debian.Archive, part recipe) (*Root, error) {
	name, ok := newestAtHand(st, part)
	var packages []debian.Package
	if !ok {
		var err error
		if packages, err = solve(ctx, ar, part); err != nil {
			return nil, err
		}
		name = part.entryName(packages)
	}
	dir, err := st.Make(ctx, kind, name, func(ctx context.Context, dir string) error {
		if packages == nil { // it was at hand, and is damaged
			var err error
			if packages, err = solve(ctx, ar, part); err != nil {
				return err
			}
		}
		return fill(ctx, ar, part, packages, dir)
	})
	if err != nil {
		return nil, fmt.Errorf("tool root, part %s: %w", part.name, err)
	}
	return &Root{Dir: dir, Name: name, store: st, archive: ar}, nil
}

func solve(ctx context.Context, ar *debian.Archive, part recipe) ([]debian.Package, error) {
	packages, err := ar.Solve(ctx, names(part.want), names(part.without))
	if err != nil {
		return nil, fmt.Errorf("tool root, part %s: %w", part.name, err)
	}
	return packages, nil
}

// digest is of all in the recipe that decides what the root holds.
func (p recipe) digest() string {
	text, err := json.Marshal([]any{names(p.want), names(p.without), p.links, layout, folders, unneeded})
	if err != nil {
		panic(err) // strings and maps of strings
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// prefix is what the names of all entries of this recipe begin with.
func (p recipe) prefix() string { return p.name + "-" + p.digest() + "-" }

// entryName names the root that consists of packages.
func (p recipe) entryName(packages []debian.Package) string {
	h := sha256.New()
	for _, pkg := range packages {
		fmt.Fprintf(h, "%s %s %s\n", pkg.Name, pkg.Version, pkg.SHA256)
	}
	return p.prefix() + hex.EncodeToString(h.Sum(nil)[:6])
}

// newestAtHand is the newest entry of the recipe in the cache. A root stays
// in use when the archive gets newer packages: modules built yesterday and
// today are then of one compiler, and nothing is fetched again for each
// security update. `switchyard cache prune` makes the next one fresh.
func newestAtHand(st *store.Store, part recipe) (name string, ok bool) {
	found, err := filepath.Glob(filepath.Join(st.Dir, kind, part.prefix()+"*"))
	if err != nil || len(found) == 0 {
		return "", false
	}
	age := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.ModTime().UnixNano()
	}
	return filepath.Base(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(age(a), age(b)) })), true
}

// fill extracts packages into dir.
func fill(ctx context.Context, ar *debian.Archive, part recipe, packages []debian.Package, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, folder := range folders {
		if err := root.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	for path, target := range layout {
		if err := root.Symlink(target, path); err != nil {
			return err
		}
	}
	err = ar.Fetch(ctx, "tool root ("+part.name+")", packages, func(_ debian.Package, file string) error {
		return debian.Unpack(file, root, place)
	})
	if err != nil {
		return err
	}
	for path, target := range part.links {
		if err := root.Symlink(target, path); err != nil {
			return fmt.Errorf("link %s: %w", path, err)
		}
	}
	switch part.name {
	case qemuPart.name:
		return gatherROMs(root)
	case browserPart.name:
		return ownTheLoader(root)
	}
	return nil
}

// place leaves out what no program reads, and moves what would go beside a
// merged /usr.
func place(name string) (string, bool) {
	for _, prefix := range unneeded {
		if strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(name, prefix) {
			return "", false
		}
	}
	first, rest, below := strings.Cut(name, "/")
	if to, ok := layout[first]; ok {
		// The link itself is made already; base-files brings it as well.
		return filepath.Join(to, rest), below
	}
	return name, true
}

// gatherROMs links SeaBIOS's files to where QEMU's own are, so that one -L
// finds all.
func gatherROMs(root *os.Root) error {
	dir, err := root.Open("usr/share/seabios")
	if err != nil {
		return err
	}
	defer dir.Close()
	files, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range files {
		err := root.Symlink("../seabios/"+name, "usr/share/qemu/"+name)
		if err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}
