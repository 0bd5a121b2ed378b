// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/patch/diff"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Function is one entry of a klp_object's function table.
type Function struct {
	Object  string `json:"object"`  // "vmlinux" or a module
	Name    string `json:"name"`    // the old function's symbol
	Sympos  uint64 `json:"sympos"`  // which of several symbols of that name; 0: the only one
	NewName string `json:"newName"` // the replacement's symbol in the module, "" if it has none
}

// Manifest is what a built module holds, read back from its file and not
// from its source.
type Manifest struct {
	// Route is how it was built; "" of a module that was brought built.
	Route Route `json:"route,omitempty"`
	// Warnings are what the author should know of the module, a sentence each.
	Warnings  []string   `json:"warnings,omitempty"`
	Livepatch bool       `json:"livepatch"` // MODULE_INFO(livepatch, "Y")
	Replace   bool       `json:"replace"`   // klp_patch.replace, atomic replace
	Vermagic  string     `json:"vermagic"`
	Depends   []string   `json:"depends,omitempty"`
	Functions []Function `json:"functions,omitempty"`
	// Instrument says what the module measures of its functions, in their
	// order; "" of others.
	Instrument btf.Instrument `json:"instrument,omitempty"`
	// Diff is what a diff came to; nil of other modules.
	Diff *diff.Made `json:"diff,omitempty"`
}

// BuiltBy says in a word where the module came from.
func (m Manifest) BuiltBy() string {
	if m.Route == RouteAuto {
		return "prebuilt"
	}
	return string(m.Route)
}

// manifestFile lies beside a cached module that was made from a diff.
const manifestFile = "diff.json"

func writeManifest(dir string, made *diff.Made) error {
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestFile), text, 0o644)
}

func readManifest(dir string) (*diff.Made, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return nil, err
	}
	made := &diff.Made{}
	return made, json.Unmarshal(text, made)
}

// Objects are the names of the patched objects, each once, in table order.
func (m Manifest) Objects() []string {
	var names []string
	seen := map[string]bool{}
	for _, f := range m.Functions {
		if !seen[f.Object] {
			seen[f.Object] = true
			names = append(names, f.Object)
		}
	}
	return names
}

// Patches says whether the module is meant to be a live patch at all: it
// carries the mark or the tables.
func (m Manifest) Patches() bool { return m.Livepatch || len(m.Functions) > 0 }

// load reads the module file at path back.
func load(path string, s *Source, kit *kernels.Kit) (*Module, error) {
	ko, err := os.ReadFile(path)
	if err != nil {
		return nil, &InputError{s.Path, err.Error(), err}
	}
	if !bytes.HasPrefix(ko, []byte("\x7fELF")) {
		return nil, &InputError{path, "not a kernel module (no ELF file)", nil}
	}
	info, err := kernels.ModInfo(ko)
	if err != nil {
		return nil, &InputError{path, fmt.Sprintf("not a kernel module: %v", err), err}
	}
	m := &Module{Path: path, Source: s}
	m.Name = moduleName(strings.TrimSuffix(filepath.Base(path), ".ko"))
	if name := info["name"]; len(name) > 0 {
		m.Name = name[0]
	}
	if v := info["vermagic"]; len(v) > 0 {
		m.Manifest.Vermagic = v[0]
	}
	if lp := info["livepatch"]; len(lp) > 0 {
		m.Manifest.Livepatch = lp[0] == "Y"
	}
	if i := info[btf.InstrumentInfo]; len(i) > 0 {
		m.Manifest.Instrument = btf.Instrument(i[0])
	}
	for _, d := range info["depends"] {
		if d != "" {
			m.Manifest.Depends = append(m.Manifest.Depends, strings.Split(d, ",")...)
		}
	}
	if m.SHA256, err = store.HashFile(path); err != nil {
		return nil, err
	}
	// A module that is not built for this kernel has structs of another
	// shape; the kernel will refuse it, so its tables do not matter.
	if m.CheckVermagic(kit) != nil {
		return m, nil
	}
	layout, err := klpLayout(kit)
	if errors.Is(err, btf.ErrNoTypes) {
		// A module that somebody built elsewhere can be loaded all the same.
		m.Manifest.Warnings = append(m.Manifest.Warnings, "what it patches is not known: "+btf.ErrNoTypes.Error())
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	tables, err := readTables(ko, layout)
	if err != nil {
		return nil, &InputError{path, fmt.Sprintf("read its klp_patch: %v", err), err}
	}
	if tables != nil {
		m.Manifest.Functions, m.Manifest.Replace = tables.functions, tables.replace
	}
	return m, nil
}
