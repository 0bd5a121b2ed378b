// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir makes the folder that a flag names, and those above it. That it
// cannot be one is a mistake on the command line; that the disk is full is none.
func makeDir(flag, path string) error {
	err := os.MkdirAll(path, 0o755)
	switch {
	case err == nil || diskIsFull(err):
		return err
	case errors.Is(err, syscall.ENOTDIR):
		err = errors.New("it, or what it lies in, is a file")
	}
	return usageError{fmt.Errorf("%s %s: it must be a folder, or one that can be made: %w", flag, path, err)}
}

// checkFile says, before there is anything to write, that path cannot be the
// file that a flag names.
func checkFile(flag, path string) error {
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return usageError{fmt.Errorf("%s %s: it must be a file, and is a folder", flag, path)}
	case err == nil && !info.Mode().IsRegular(): // it would be replaced
		return usageError{fmt.Errorf("%s %s: it must be a file, and is something else", flag, path)}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return usageError{fmt.Errorf("%s: it must be a file, or one that can be made: %w", flag, err)}
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return usageError{fmt.Errorf("%s %s: there is no folder %s to write it into", flag, path, filepath.Dir(path))}
	}
	return nil
}

// diskIsFull says whether err comes of a disk, or a quota, that is used up.
func diskIsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
