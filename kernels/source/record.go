// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/kernels"
)

// recordFile is the file in a kit's folder that says how it was built.
const recordFile = "build.json"

// record is its content.
type record struct {
	// Label is the kernel's name, "" for a release built in the ordinary way.
	Label string `json:"label,omitempty"`
	// Origin is what it was built from, as the user knows it; Tree a hash of
	// that.
	Origin string `json:"origin"`
	Tree   string `json:"tree"`
	// Compiler identifies the compiler and linker: see compilerID.
	Compiler string `json:"compiler"`
	// Config and Fragments are what was configured with, by name.
	Config    string   `json:"config,omitempty"`
	Fragments []string `json:"fragments,omitempty"`
	// NotTaken are the options of the base that this kernel does not have.
	NotTaken []string `json:"not_taken,omitempty"`
	// Command builds it again.
	Command string `json:"command"`
	// Made is when it was built.
	Made time.Time `json:"made"`
}

// builtKit is a kit from here.
type builtKit struct {
	*kernels.Kit
	Record record
}

func (k builtKit) candidate() kernels.Candidate {
	return kernels.Candidate{
		Release: k.Release, Version: k.Version, Source: k.Source, Flavour: k.Flavour, Cached: true, Dir: k.Dir,
		HasHeaders: k.HeadersDir != "", FromSource: true, Label: k.Record.Label, Made: k.Record.Made, Provider: ProviderName,
	}
}

// kits are all kits in the cache that are from here.
func (p *Provider) kits() ([]builtKit, error) {
	files, err := filepath.Glob(filepath.Join(p.Store.Dir, kitKind, "*", recordFile))
	if err != nil {
		return nil, err
	}
	var all []builtKit
	for _, file := range files {
		if k, err := readBuilt(filepath.Dir(file)); err == nil { // half a kit is none
			all = append(all, k)
		}
	}
	return all, nil
}

func readBuilt(dir string) (k builtKit, err error) {
	if k.Kit, err = kernels.ReadKitFile(dir); err != nil {
		return k, err
	}
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(text, &k.Record); err != nil {
		return k, fmt.Errorf("read %s: %w", filepath.Join(dir, recordFile), err)
	}
	if !strings.HasPrefix(k.Source, ProviderName+":") {
		return k, fmt.Errorf("%s: its source is %s", dir, k.Source)
	}
	return k, nil
}

func (r record) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, recordFile), append(text, '\n'), 0o644)
}
