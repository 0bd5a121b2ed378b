// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"os"
	"path/filepath"
)

// instance is the very files of a snapshot. Its folder can be thrown away and
// made again by another process at any time; a QEMU that mapped the memory of
// the one would then load the device state of the other, and nothing but the
// guest's fate would tell.
type instance map[string]os.FileInfo

// note remembers the snapshot's files as they are now.
func (s *Snapshot) note() error {
	files := []string{aboutFile, stateFile}
	if s.Mapped {
		files = append(files, ramFile)
	}
	s.files = instance{}
	for _, name := range files {
		info, err := os.Stat(filepath.Join(s.Dir, name))
		if err != nil {
			return err
		}
		s.files[name] = info
	}
	return nil
}

// Current says whether the files in s.Dir are those that were opened, and
// nobody wrote to them since.
func (s *Snapshot) Current() bool {
	for name, was := range s.files {
		is, err := os.Stat(filepath.Join(s.Dir, name))
		// Inode numbers are given again, times are not.
		if err != nil || !os.SameFile(was, is) || !was.ModTime().Equal(is.ModTime()) || was.Size() != is.Size() {
			return false
		}
	}
	return true
}

// errReplaced is a snapshot that changed between its opening and a fork's
// start.
var errReplaced = errors.New("it was removed or made again meanwhile")
