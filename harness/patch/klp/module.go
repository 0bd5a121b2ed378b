// SPDX-License-Identifier: Apache-2.0

// Package klp makes a livepatch module of object code: functions that take
// the place of others, with references to symbols that the kernel keeps to
// itself.
//
// What lives here: the module's tables in C, its build by the kernel's own
// kbuild and objtool, and what has to be done to the linked file so that the
// kernel's livepatch looks up unexported symbols (Documentation/livepatch/
// module-elf-format.rst). What must not: which functions changed, and where a
// symbol is in the running kernel; who calls knows.
package klp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Deps is what a build needs of its surroundings.
type Deps struct {
	Store *store.Store
	// Root opens the tool root; it is called only when something must be
	// compiled.
	Root func(context.Context) (*toolroot.Root, error)
}

// VMLinux is the name of the klp_object that is the kernel's image.
const VMLinux = "vmlinux"

// Module is a livepatch module to be made.
type Module struct {
	Name    string // as in /proc/modules
	Replace bool   // takes the place of all patches loaded before
	Parts   []Part
	// Callbacks are the user's C files that become a part of the module, as
	// paths: see docs/patches.md.
	Callbacks []string
}

// Part is the new code of one translation unit.
type Part struct {
	// Object is what the code is for: VMLinux or a module's name as in
	// /proc/modules. Several parts may be for one object.
	Object string
	Code   *object.Object
	// Functions are the old functions and those of Code that replace them.
	Functions []Function
	// Symbols says what Code's undefined symbols are. One that is not here
	// must be exported by the kernel's image, or defined by another part.
	Symbols map[*object.Symbol]Symbol
}

// Function is a function to be replaced.
type Function struct {
	Old    string // its symbol in the kernel
	Sympos uint64 // which of several symbols of that name in the object, 1 the first; 0: it is the only one
	New    string // the symbol in Part.Code, not undefined
}

// Symbol is a symbol of the running kernel.
type Symbol struct {
	Object   string // VMLinux or a module
	Name     string // as in kallsyms
	Sympos   uint64 // as in Function
	Exported bool   // by Object, to all modules
}

// version changes whenever this package makes other modules of the same
// input; cache entries of another one are not taken.
const version = "klp v3"

// Build makes m for kit, or finds it made, and gives the path of the .ko,
// which the cache keeps. The file is the same to the byte whenever the input
// is. Errors: *refusal.Refusal where the kernel could not carry such a module
// or the user's callbacks do not compile, *kernels.Lacking without headers.
func Build(ctx context.Context, deps Deps, kit *kernels.Kit, m Module) (string, error) {
	if err := m.check(kit); err != nil {
		return "", err
	}
	if kit.HeadersDir == "" {
		return "", &kernels.Lacking{What: "the headers of " + kit.Release, Remedy: "choose a kernel with headers (`switchyard kernels list`), or build one (`switchyard kernels build`)"}
	}
	b := &builder{deps: deps, kit: kit, module: m}
	if err := b.prepare(); err != nil {
		return "", err
	}
	key, err := b.key()
	if err != nil {
		return "", err
	}
	dir, err := deps.Store.Make(ctx, "modules", key, func(ctx context.Context, dir string) error {
		made, err := b.compile(ctx)
		if err != nil {
			return err
		}
		if err := b.finish(made); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(dir, m.Name+".ko"))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := made.Write(f); err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		return "", fmt.Errorf("make %s for %s: %w", m.Name, kit.Release, err)
	}
	return filepath.Join(dir, m.Name+".ko"), nil
}

var (
	moduleName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	// symbolName leaves out what would end a C string, or a field of the names
	// that livepatch takes apart.
	symbolName = regexp.MustCompile(`^[A-Za-z0-9_.$]+$`)
)

const (
	longestModule = 55  // MODULE_NAME_LEN of x86-64, without the final zero
	longestSymbol = 127 // what the oldest kernels' livepatch reads of a name
)

// check refuses input that cannot be put into a module's tables.
func (m *Module) check(kit *kernels.Kit) error {
	if kit.HeadersDir == "" {
		return &kernels.Lacking{What: "headers of kernel " + kit.Release + " to build modules against",
			Remedy: "choose a kernel with headers (`switchyard kernels list`), or build one from source with `switchyard kernels build`"}
	}
	if !kit.Can(kernels.AtomicReplace) { // the version in which the calls took their present form
		return &kernels.Lacking{What: "livepatch in " + kit.Release + " as this module needs it", Remedy: "choose a kernel from 5.1 on with CONFIG_LIVEPATCH"}
	}
	if !moduleName.MatchString(m.Name) || len(m.Name) > longestModule {
		return fmt.Errorf("%q is no name for a module: letters, digits and _, at most %d", m.Name, longestModule)
	}
	if len(m.Parts) == 0 {
		return fmt.Errorf("module %s has nothing to patch", m.Name)
	}
	for i, p := range m.Parts {
		if !moduleName.MatchString(p.Object) || len(p.Object) > longestModule {
			return fmt.Errorf("part %d: %q is no name of an object", i, p.Object)
		}
		for _, f := range p.Functions {
			if !symbolName.MatchString(f.Old) || len(f.Old) > longestSymbol {
				return fmt.Errorf("part %d: %q is no name of a function that livepatch could look up", i, f.Old)
			}
		}
		for _, s := range p.Symbols {
			if !symbolName.MatchString(s.Name) || len(s.Name) > longestSymbol || !moduleName.MatchString(s.Object) {
				return fmt.Errorf("part %d: %q of %q is no symbol that livepatch could look up", i, s.Name, s.Object)
			}
		}
	}
	return nil
}

// key is a hash over all that decides the module's bytes.
func (b *builder) key() (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s %s\n", version, b.kit.Release, b.kit.Version)
	for _, f := range b.files {
		fmt.Fprintf(h, "%s %d\n", f.name, len(f.data))
		h.Write(f.data)
	}
	fmt.Fprintf(h, "%s\n", b.links.describe())
	return b.module.Name + "-" + hex.EncodeToString(h.Sum(nil)[:12]), nil
}

// file is a file of the build's folder.
type file struct {
	name string
	data []byte
	from string // the user's own path of it, for messages
}

// builder is one build under way.
type builder struct {
	deps    Deps
	kit     *kernels.Kit
	module  Module
	exports exports
	links   *links
	files   []file
}

// prepare makes all files of the build, in memory.
func (b *builder) prepare() error {
	var err error
	if b.exports, err = readExports(b.kit); err != nil {
		return err
	}
	b.links = newLinks(&b.module, b.exports)
	b.links.addRuntime(b.module.runtimeConstants())
	for i := range b.module.Parts {
		o, err := b.links.part(i, &b.module.Parts[i])
		if err != nil {
			return err
		}
		var elf bytes.Buffer
		if err := o.Write(&elf); err != nil {
			return err
		}
		b.files = append(b.files, file{name: partName(i) + ".elf", data: elf.Bytes()})
	}
	for i, path := range b.module.Callbacks {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b.files = append(b.files, file{name: callbacksName(i) + ".c", data: text, from: path})
	}
	b.files = append(b.files,
		file{name: glueName + ".c", data: []byte(b.glue())},
		file{name: "Kbuild", data: []byte(b.kbuild())})
	if len(b.module.Callbacks) > 0 {
		b.files = append(b.files, file{name: callbacksHeader, data: []byte(b.callbacksHeader())})
	}
	return nil
}
