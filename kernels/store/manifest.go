// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// manifestName is the file that seals an entry: its presence means that the
// entry was complete once.
const manifestName = ".switchyard-manifest.json"

// sealed is one file of an entry.
type sealed struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	MTime  int64  `json:"mtime_ns"`
	SHA256 string `json:"sha256,omitempty"` // regular files without holes
	Pages  string `json:"pages,omitempty"`  // those with holes: see hashPages
	Link   string `json:"link,omitempty"`   // symbolic links
}

// manifest is the content of manifestName.
type manifest struct {
	Files []sealed `json:"files"`
}

// sealManifest records every file of dir.
func sealManifest(dir string) error {
	var m manifest
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := describe(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
		case f.Link != "":
		case hasHoles(info):
			f.Pages, err = hashPages(path)
		default:
			f.SHA256, err = HashFile(path)
		}
		m.Files = append(m.Files, f)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), text, 0o644)
}

func describe(dir, path string) (sealed, error) {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return sealed{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return sealed{}, err
	}
	f := sealed{Path: rel}
	if info.Mode()&fs.ModeSymlink != 0 {
		f.Link, err = os.Readlink(path)
		return f, err
	}
	f.Size, f.MTime = info.Size(), info.ModTime().UnixNano()
	return f, nil
}

// checkManifest says what is wrong with the entry dir. A file whose size and
// time are as sealed is believed, as make believes; one whose time moved is
// hashed, and gets its time back. deep hashes all.
func checkManifest(dir string, deep bool) error {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("manifest of %s: %w", dir, err)
	}
	for _, want := range m.Files {
		path := filepath.Join(dir, want.Path)
		got, err := describe(dir, path)
		if err != nil {
			return err
		}
		if got.Size != want.Size || got.Link != want.Link {
			return fmt.Errorf("%s: changed since it was made", path)
		}
		if want.Link != "" || (got.MTime == want.MTime && !deep) {
			continue
		}
		hash, sealed := HashFile, want.SHA256
		if want.Pages != "" {
			hash, sealed = hashPages, want.Pages
		}
		sum, err := hash(path)
		if err != nil {
			return err
		}
		if sum != sealed {
			return fmt.Errorf("%s: content changed since it was made", path)
		}
		// A cache that was copied or restored without its files' times would be
		// read to the last byte at every look. And make compares times.
		if got.MTime != want.MTime {
			_ = os.Chtimes(path, time.Time{}, time.Unix(0, want.MTime))
		}
	}
	return nil
}

// HashFile is the SHA-256 of a file's content, in hex.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
