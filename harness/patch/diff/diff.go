// SPDX-License-Identifier: Apache-2.0

// Package diff makes a livepatch module of a diff against the kernel's
// source: what the diff touches is compiled before and after, compared
// function by function with each other and with the kernel's own image, and
// what changed becomes the module.
//
// What lives here: the order of these steps, what can be refused by looking
// at the diff alone, and what the author is warned of. What must not: how any
// step is done (packages unified, tree, compare, runpre, klp), and anything
// that needs a running guest.
package diff

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Deps is what a build needs of its surroundings: what a source needs.
type Deps = tree.Deps

// Part is one diff.
type Part struct {
	Path  string // the user's own, for messages
	Diff  *unified.Diff
	Level int // of patch -p, or unified.Auto
}

// Request is a module to be made.
type Request struct {
	Name string // of the module
	// Diffs are applied in order, each to what the one before left. The last
	// is the patch, those before it are what it is on top of.
	Diffs []Part
	// Replace makes the module one that replaces all patches before it.
	Replace bool
	// Callbacks is a C file of the user's that goes into the module, or "".
	Callbacks string
}

// Made is what a diff came to.
type Made struct {
	Level     int        `json:"level"` // of patch -p
	Files     []File     `json:"files"`
	Functions []Function `json:"functions"`
	Data      []Data     `json:"data,omitempty"` // new, and the module's own
	// Notes say, a sentence each, what may be of interest; Warnings what the
	// author should know.
	Notes    []string `json:"notes,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Memory is what the patched functions must be in a guest that runs.
	Memory []runpre.Expectation `json:"memory,omitempty"`
}

// File is a file of the source that the diff changes.
type File struct {
	Name string `json:"name"`
	// Units are the translation units that were looked at because of it.
	Units []string `json:"units,omitempty"`
	// Ignored says why nothing of it is in the module, "" if something may be.
	Ignored string           `json:"ignored,omitempty"`
	Hunks   []unified.Placed `json:"hunks,omitempty"`
}

// Function is a function that the module has.
type Function struct {
	Object string `json:"object"` // klp_object: "vmlinux" or a module
	Unit   string `json:"unit"`   // its source file
	Name   string `json:"name"`
	// Patched functions take the place of the kernel's own; the others are new,
	// or came along because one of them needs a copy.
	Patched bool   `json:"patched"`
	Size    uint64 `json:"size"`               // bytes
	Was     uint64 `json:"was,omitempty"`      // bytes of the kernel's own
	Address uint64 `json:"address,omitempty"`  // of the kernel's own in its image
	Sympos  uint64 `json:"sympos,omitempty"`   // which of several of that name
	NewName string `json:"new_name,omitempty"` // symbol in the module
}

// Data is data that the module brings.
type Data struct {
	Object string `json:"object"`
	Unit   string `json:"unit"`
	Name   string `json:"name"`
	Size   uint64 `json:"size"` // bytes
}

// Build makes the module of r for kit as out/NAME.ko. Errors: *refusal.Refusal,
// several through go-multierror; *kernels.Lacking.
func Build(ctx context.Context, deps Deps, kit *kernels.Kit, r Request, out string) (*Made, error) {
	p, err := newPipeline(ctx, deps, kit, r)
	if err != nil {
		return nil, err
	}
	module, err := p.module(ctx)
	if err != nil {
		return nil, err
	}
	path, err := klp.Build(ctx, klp.Deps{Store: deps.Store, Root: deps.Root}, kit, *module)
	if err != nil {
		return nil, err
	}
	if err := store.CopyFile(path, filepath.Join(out, module.Name+".ko")); err != nil {
		return nil, err
	}
	return &p.made, nil
}

// Checked is what comparing a diff's functions with the kernel's image found.
type Checked struct {
	Made      Made
	Functions []CheckedFunction
}

// CheckedFunction is one function that a diff changes.
type CheckedFunction struct {
	Object  string
	Unit    string
	Name    string
	Address uint64 // in the image, 0 if it is not known
	// Why says what differs from what the source compiles to, and at which
	// offset in bytes; "" if it is the same.
	Why    string
	Offset uint64
}

// OK says whether the image has what the source compiles to.
func (f CheckedFunction) OK() bool { return f.Why == "" }

// Check does all that Build does short of a module. Functions that differ from
// the image are in the result as well as in the error.
func Check(ctx context.Context, deps Deps, kit *kernels.Kit, r Request) (*Checked, error) {
	p, err := newPipeline(ctx, deps, kit, r)
	if err != nil {
		return nil, err
	}
	_, err = p.module(ctx)
	return &Checked{Made: p.made, Functions: p.checked}, err
}

func newPipeline(ctx context.Context, deps Deps, kit *kernels.Kit, r Request) (*pipeline, error) {
	src, err := tree.Open(ctx, deps, kit)
	if err != nil {
		return nil, err
	}
	p := &pipeline{kit: kit, source: src, request: r}
	p.image = func() (*runpre.Image, error) { return runpre.OpenImage(kit) }
	return p, nil
}

// name is the module's: not that of a module of the kernel, which may be the
// very one to be patched, nor longer than the kernel takes.
func (p *pipeline) name() string {
	name := p.request.Name
	if len(name) > longestName {
		name = name[:longestName]
	}
	if files, builtin, err := p.kit.ModuleFiles(name); err == nil && len(files)+len(builtin) > 0 {
		name += "_patch"
	}
	return name
}

// longestName leaves room in MODULE_NAME_LEN for a suffix.
const longestName = 48

func (p *pipeline) refuse(code refusal.Code, file, advice, format string, args ...any) *refusal.Refusal {
	return &refusal.Refusal{Code: code, File: file, Release: p.kit.Release, Text: fmt.Sprintf(format, args...), Advice: advice}
}
