// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/switchyard-project/switchyard/kernels"
)

// Own gives the kernel's own module called name and those that it needs, in
// load order, unpacked as a guest takes them. Errors: *kernels.NoModuleError
// for a kernel that comes without it.
func (b *Builder) Own(ctx context.Context, kit *kernels.Kit, name string) (own []*Module, err error) {
	files, _, err := kit.ModuleFiles(name)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		ko, err := kernels.ReadModule(file)
		if err != nil {
			return nil, err
		}
		name, sum := kernels.ModuleName(file), sha256.Sum256(ko)
		dir, err := b.Store.Make(ctx, "modules", name+"-own-"+hex.EncodeToString(sum[:12]), func(_ context.Context, dir string) error {
			return os.WriteFile(filepath.Join(dir, name+".ko"), ko, 0o644)
		})
		if err != nil {
			return nil, err
		}
		m, err := load(filepath.Join(dir, name+".ko"), &Source{Path: file, Kind: Prebuilt, Name: name}, kit)
		if err != nil {
			return nil, err
		}
		m.Cached, m.Own = true, true
		own = append(own, m)
	}
	return own, nil
}
