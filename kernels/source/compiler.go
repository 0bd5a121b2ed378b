// SPDX-License-Identifier: Apache-2.0

package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// compilerFiles are the programs of the tool root that decide what comes out of
// a build: the compiler proper, assembler and linker, and what makes BTF. (The
// names gcc, as and ld lead to them.) The root as a whole changes more often: a
// package that has nothing to do with kernels must not cost a build of each.
var compilerFiles = []string{
	"usr/libexec/gcc/x86_64-linux-gnu/14/cc1", "usr/bin/x86_64-linux-gnu-as", "usr/bin/x86_64-linux-gnu-ld.bfd", "usr/bin/pahole",
}

// compilerID is a hash of a root's compilerFiles.
func compilerID(root *toolroot.Root) (string, error) {
	h := sha256.New()
	for _, name := range compilerFiles {
		sum, err := store.HashFile(filepath.Join(root.Dir, name))
		if err != nil {
			return "", fmt.Errorf("the tool root's compiler: %w", err)
		}
		fmt.Fprintf(h, "%s %s\n", sum, filepath.Base(name))
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
