// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// hashFolder writes names, modes and checksums of all files below dir to w.
func hashFolder(w io.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum, err := store.HashFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		fmt.Fprintf(w, "%q %o %s\n", rel, info.Mode().Perm(), sum)
		return err
	})
}

// copyFile copies a file with its mode: a script must stay one that can be
// started.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := store.CopyFile(from, to); err != nil {
		return err
	}
	return os.Chmod(to, info.Mode().Perm())
}
