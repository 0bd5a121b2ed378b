// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// sample is a look at some pages of a memory file: enough to find one that was
// cut off, overwritten or replaced, in a millisecond.
type sample struct {
	Size   int64   `json:"size"` // of the file, bytes
	Pages  []int64 `json:"pages"`
	SHA256 string  `json:"sha256"`
}

const (
	pageSize    = 4096
	samplePages = 256
)

// takeSample chooses pages that hold something, evenly spread.
func takeSample(path string) (*sample, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &sample{Size: info.Size()}
	all, err := extents(f, s.Size)
	if err != nil {
		return nil, err
	}
	var pages []int64
	for _, e := range all {
		for page := e.begin; page < e.end; page += pageSize {
			pages = append(pages, page)
		}
	}
	for i := range min(samplePages, len(pages)) {
		s.Pages = append(s.Pages, pages[i*len(pages)/min(samplePages, len(pages))])
	}
	s.SHA256, err = s.sum(f)
	return s, err
}

func (s *sample) sum(f *os.File) (string, error) {
	h := sha256.New()
	buf := make([]byte, pageSize)
	for _, page := range s.Pages {
		if _, err := f.ReadAt(buf, page); err != nil {
			return "", err
		}
		h.Write(buf)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

func (s *sample) check(path string) error {
	if s == nil {
		return errors.New("there is no sample of its memory")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != s.Size {
		return fmt.Errorf("its memory has %d bytes, not %d", info.Size(), s.Size)
	}
	sum, err := s.sum(f)
	if err != nil {
		return err
	}
	if sum != s.SHA256 {
		return errors.New("its memory changed since it was saved")
	}
	return nil
}

// ours says whether path belongs to this user and nobody else may write it.
func ours(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case int(owner) != os.Geteuid():
		return &foreignError{fmt.Sprintf("%s was made by user %d; a snapshot is code, and only one's own is run: remove it, or set SWITCHYARD_CACHE to a folder of your own", path, owner)}
	case info.Mode().Perm()&0o022 != 0:
		return &foreignError{fmt.Sprintf("%s may be written by others (mode %v); a snapshot is code: remove it", path, info.Mode().Perm())}
	case info.Mode()&fs.ModeSymlink != 0:
		return &foreignError{path + " is a link"}
	}
	return nil
}

type foreignError struct{ text string }

func (e *foreignError) Error() string { return e.text }
