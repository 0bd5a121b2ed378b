// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Measure builds the module name that measures functions, to out. Functions of
// one object must stand together.
func (k *Kernel) Measure(ctx context.Context, st *store.Store, tools Tools, kit *kernels.Kit, i Instrument, name string, all []Instrumented, out string) (*Built, error) {
	const file = "instrument.c"
	return k.Build(ctx, st, tools, kit, Job{Name: name, Units: []string{file}, Files: []File{{file, i.source(all)}}, Out: out})
}

// LoadTypes reads the types of an object: of the image, if module is nil, or
// of the module's file, which builds on those. A module without types is no
// error: those of the image are given.
func LoadTypes(kit *kernels.Kit, module []byte) (*btf.Spec, error) {
	file, err := elf.Open(kit.VMLinux)
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s: %w", kit.Release, err)
	}
	defer file.Close()
	raw, err := types(file)
	if err != nil {
		return nil, err
	}
	base, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil || module == nil {
		return base, err
	}
	ko, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	if raw, err = types(ko); errors.Is(err, ErrNoTypes) {
		return base, nil
	} else if err != nil {
		return nil, err
	}
	return btf.LoadSplitSpecFromReader(bytes.NewReader(raw), base)
}

func types(file *elf.File) ([]byte, error) {
	section := file.Section(".BTF")
	if section == nil {
		return nil, ErrNoTypes
	}
	return section.Data()
}
