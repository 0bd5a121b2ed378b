// SPDX-License-Identifier: Apache-2.0

// Package selftests makes a kernel's own livepatch selftests ready for a
// guest: the scripts of tools/testing/selftests/livepatch as the kernel's
// source has them, their test modules built for the kernel, and the programs
// that they are written with; and it says what came of a script by its words.
//
// What must not live here: driving a guest (package run), and tests of our
// own (package cases). No script is changed.
package selftests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Dir is where the scripts lie in the guest, and where they are to be started.
const Dir = "/selftests/livepatch"

// Environment is what scripts want to be started with. KDIR is where they would
// compile their modules from: they skip themselves if there is no such folder,
// and need nothing in it where the modules are there already.
var Environment = []string{"HOME=/tmp", "LC_ALL=C", "TERM=dumb", "KDIR=" + Dir}

// Where the kernel's source has them.
const (
	scriptsDir = "tools/testing/selftests/livepatch"
	modulesDir = "lib/livepatch" // the modules, as long as they were not beside the scripts
	besideDir  = "test_modules"  // in scriptsDir
)

// Source gives the host's path of a folder of the source that a kernel was
// built from ("lib/livepatch"). Errors: fs.ErrNotExist if that source has no
// such folder, *kernels.Lacking if there is no source to be had.
type Source func(ctx context.Context, kit *kernels.Kit, dir string) (string, error)

// Builder makes suites. All fields must be set.
type Builder struct {
	Store  *store.Store
	Source Source
	// Root opens the tool root, Userland the part of it with programs for
	// guests.
	Root, Userland func(context.Context) (*toolroot.Root, error)
}

// Suite is the selftests of one kernel, ready for a guest.
type Suite struct {
	// Scripts are the names of those that are to be run, in their Makefile's
	// order.
	Scripts []string
	// Modules says where the test modules come from: ModulesKernel or
	// ModulesBuilt.
	Modules string
	// Files are what the guest's image needs beside its own.
	Files []images.File
}

// Where test modules come from.
const (
	ModulesKernel = "kernel" // they came with it
	ModulesBuilt  = "built"  // out of tree, from its source
)

// recipeVersion changes whenever the same inputs would be made into something
// else.
const recipeVersion = "selftests 1"

// Build makes the suite of kit's kernel. Errors: *kernels.Lacking if there is
// no source of it or nothing to build modules against, *BuildError if a module
// or a program does not compile.
func (b *Builder) Build(ctx context.Context, kit *kernels.Kit) (*Suite, error) {
	scripts, err := b.Source(ctx, kit, scriptsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &kernels.Lacking{What: fmt.Sprintf("livepatch selftests in the source of %s (%s)", kit.Release, scriptsDir), Remedy: "choose a kernel from 5.1 on", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("selftests of %s: %w", kit.Release, err)
	}
	text, err := os.ReadFile(filepath.Join(scripts, "Makefile"))
	if err != nil {
		return nil, fmt.Errorf("selftests of %s: %w", kit.Release, err)
	}
	lists := parseLists(string(text))
	if len(lists["TEST_PROGS"]) == 0 {
		return nil, fmt.Errorf("selftests of %s: %s/Makefile names no TEST_PROGS", kit.Release, scriptsDir)
	}
	modules, err := b.findModules(ctx, kit, scripts)
	if err != nil {
		return nil, err
	}
	dir, err := b.make(ctx, kit, scripts, lists, modules)
	if err != nil {
		return nil, err
	}
	s := &Suite{Scripts: lists["TEST_PROGS"], Modules: modules.from}
	if s.Files, err = filesBelow(dir); err != nil {
		return nil, fmt.Errorf("selftests of %s: %w", kit.Release, err)
	}
	programs, err := b.userland(ctx)
	if err != nil {
		return nil, err
	}
	s.Files = append(s.Files, programs...)
	return s, nil
}

// make gives a folder with what goes into the guest beside programs: scripts
// at Dir, modules beside them or at lib/modules.
func (b *Builder) make(ctx context.Context, kit *kernels.Kit, scripts string, lists map[string][]string, modules modules) (string, error) {
	root, err := b.Root(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s %s\n%s\n%q\n%s\n", recipeVersion, kit.Release, kit.Version, root.Name, lists, modules.from)
	for _, dir := range append([]string{scripts}, modules.folders...) {
		if err := hashFolder(h, dir); err != nil {
			return "", fmt.Errorf("selftests of %s: %w", kit.Release, err)
		}
	}
	name := kit.Release + "-" + hex.EncodeToString(h.Sum(nil)[:8])
	return b.Store.Make(ctx, "selftests", name, func(ctx context.Context, dir string) error {
		to := filepath.Join(dir, Dir)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		for _, name := range slices.Concat(lists["TEST_PROGS"], lists["TEST_PROGS_EXTENDED"], lists["TEST_FILES"]) {
			if err := copyFile(filepath.Join(scripts, name), filepath.Join(to, name)); err != nil {
				return fmt.Errorf("selftests of %s: %w", kit.Release, err)
			}
		}
		k := kbuild{builder: b, root: root, kit: kit}
		if err := k.programs(ctx, scripts, lists["TEST_GEN_FILES"], to); err != nil {
			return err
		}
		return modules.put(ctx, k, dir)
	})
}

// Select gives the scripts of s called names, in the order of s; none means
// all. A name may lack "test-" and ".sh". The error is a *NoScriptError.
func (s *Suite) Select(names ...string) ([]string, error) {
	if len(names) == 0 {
		return s.Scripts, nil
	}
	wanted := map[string]bool{}
	for _, name := range names {
		i := slices.IndexFunc(s.Scripts, func(have string) bool { return have == name || short(have) == short(name) })
		if i < 0 {
			return nil, &NoScriptError{Name: name, Have: s.Scripts}
		}
		wanted[s.Scripts[i]] = true
	}
	return slices.DeleteFunc(slices.Clone(s.Scripts), func(have string) bool { return !wanted[have] }), nil
}

func short(script string) string {
	return strings.TrimPrefix(strings.TrimSuffix(script, ".sh"), "test-")
}

// NoScriptError says that a kernel's selftests have no script of a name.
type NoScriptError struct {
	Name string
	Have []string
}

func (e *NoScriptError) Error() string {
	return fmt.Sprintf("this kernel's livepatch selftests have no %q; there are %s", e.Name, strings.Join(e.Have, ", "))
}

// filesBelow are the files below dir as files of an image.
func filesBelow(dir string) (files []images.File, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") { // the cache's own
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		files = append(files, images.File{Path: name, Mode: uint32(info.Mode().Perm()), Content: content})
		return err
	})
	return files, err
}
