// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"os"
	"path/filepath"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

// builtIn builds a module that comes with the program, of its one C source.
func (y *Yard) builtIn(ctx context.Context, kit *kernels.Kit, name string, source []byte) (*patch.Module, error) {
	dir, remove, err := y.Store.Scratch(name)
	if err != nil {
		return nil, err
	}
	defer remove()
	path := filepath.Join(dir, name+".c")
	if err := os.WriteFile(path, source, 0o644); err != nil {
		return nil, err
	}
	src, err := patch.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := y.Builder.Build(ctx, src, kit)
	if err != nil {
		return nil, err
	}
	return m, m.CheckVermagic(kit)
}
