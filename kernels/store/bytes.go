// SPDX-License-Identifier: Apache-2.0

package store

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// bytesName is a file in an entry that remembers what the entry takes of the
// disk. It is no part of what was sealed, and goes with the entry.
const bytesName = ".switchyard-bytes"

// Bytes is what the whole entry in dir takes of the disk. An entry never
// changes, so ten thousand files are counted once: lists are to be quick.
func Bytes(dir string) (int64, error) {
	if text, err := os.ReadFile(filepath.Join(dir, bytesName)); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			return n, nil
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return 0, err
	}
	n := size(dir)
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err != nil {
		return n, nil // not sealed: it may grow
	}
	// A cache that cannot be written to can still be listed.
	_ = renameio.WriteFile(filepath.Join(dir, bytesName), []byte(strconv.FormatInt(n, 10)+"\n"), 0o644)
	return n, nil
}
